"""What do models and agents do, and what does it cost?"""

from calls import RATE
from dashboard import CALL_SCOPE, dashboard, row, variable
from model import BLUE, GREEN, ORANGE, RED, YELLOW, bars, colours, instant, lines, override, query, stat
from model import steps, table

UID = "devskyy-mcp-llm"
SERIES = '{__name__=~"mcp_llm_tokens_total|mcp_agent_usage_total|mcp_3d_generations_total"}'
BY_MODEL = "provider, model"
MODEL = "{{provider}} {{model}}"


def build():
    return dashboard(
        UID,
        "DevSkyy MCP / LLM tokens, cost and agents",
        "Tokens and their cost by provider and model, agents, and 3D generations.",
        [
            variable("job", SERIES),
            variable("instance", SERIES.replace("}", ', job=~"$job"}')),
            variable("server", SERIES.replace("}", ', job=~"$job", instance=~"$instance"}')),
        ],
        CALL_SCOPE,
        [status(), tokens(), cost(), agents()],
    )


def increase(metric, labels="", matchers="@"):
    grouping = f" by ({labels})" if labels else ""
    return f"sum{grouping} (increase({metric}{{{matchers}}}[$__range]))"


def rate(metric, labels="", matchers="@"):
    grouping = f" by ({labels})" if labels else ""
    return f"sum{grouping} (rate({metric}{{{matchers}}}{RATE}))"


def status():
    return row(
        "Status", 4,
        stat("Tokens in range", "Tokens of every kind in the chosen time range.",
             "short", 4, instant(increase("mcp_llm_tokens_total")), graph=False),
        stat("Cost in range", "Cost in the chosen time range by the price list; tokens of unpriced "
             "models are not in it.",
             "currencyUSD", 4, instant(increase("mcp_llm_cost_usd_total")), graph=False, decimals=2),
        stat("Cost per hour", "What an hour costs at the present rate.",
             "currencyUSD", 4, query(f"3600 * {rate('mcp_llm_cost_usd_total')}"), decimals=2),
        stat("Cost of 30 days", "What 30 days would cost at the mean rate of the chosen time range.",
             "currencyUSD", 4,
             instant(f"30 * 86400 * {increase('mcp_llm_cost_usd_total')} / $__range_s"),
             graph=False, decimals=0),
        stat("Unpriced share", "Share of tokens in the chosen range that the price list has no price "
             "for: the cost is too low by theirs.",
             "percentunit", 4,
             instant(f"{increase('mcp_llm_unpriced_tokens_total')}\n"
                     f"/ ({increase('mcp_llm_tokens_total')} > 0)"),
             thresholds=steps(GREEN, (0.001, YELLOW), (0.2, ORANGE)), graph=False, decimals=1),
        stat("Cache reads", "Tokens read from the provider's cache, as a share of all that were read.",
             "percentunit", 4,
             query(rate("mcp_llm_tokens_total", matchers='@, type="cache_read"') + "\n/ ("
                   + rate("mcp_llm_tokens_total", matchers='@, type!="output"') + " > 0)"),
             decimals=0),
    )


def tokens():
    return row(
        "Tokens", 8,
        lines("Tokens by provider and model", "Tokens per second of every kind.",
              "cps", 8, query(rate("mcp_llm_tokens_total", BY_MODEL), MODEL), stacked=True),
        lines("Tokens by kind", "Tokens per second that models read, wrote, read from a cache and wrote "
              "to one.",
              "cps", 8, query(rate("mcp_llm_tokens_total", "type"), "{{type}}"), stacked=True),
        lines("Tokens by server", "Tokens per second by the MCP server that reported them.",
              "cps", 8, query(rate("mcp_llm_tokens_total", "server"), "{{server}}"), stacked=True),
    )


def cost():
    def kind(name):
        return increase("mcp_llm_tokens_total", BY_MODEL, f'@, type="{name}"')

    return row(
        "Cost", 8,
        lines("Cost per hour by model", "What an hour costs at the rate of each moment.",
              "currencyUSD", 8,
              query(f"3600 * {rate('mcp_llm_cost_usd_total', BY_MODEL)}", MODEL), stacked=True),
        table("Models in range", "Tokens and cost of each model in the chosen time range.",
              "short", 16,
              {
                  "Input": kind("input"),
                  "Output": kind("output"),
                  "Cache read": kind("cache_read"),
                  "Cache write": kind("cache_write"),
                  "Unpriced": increase("mcp_llm_unpriced_tokens_total", BY_MODEL),
                  "Cost": increase("mcp_llm_cost_usd_total", BY_MODEL),
              },
              labels={"provider": "Provider", "model": "Model"},
              sort="Cost",
              overrides=[override("Cost", unit="currencyUSD", decimals=2)]),
        lines("Cost per hour by server", "What an hour costs at the rate of each moment, by MCP server.",
              "currencyUSD", 12,
              query(f"3600 * {rate('mcp_llm_cost_usd_total', 'server')}", "{{server}}"), stacked=True),
        lines("Unpriced tokens by model", "Tokens per second that are in no cost: give their model a "
              "price in the price list.",
              "cps", 12, query(rate("mcp_llm_unpriced_tokens_total", BY_MODEL), MODEL)),
    )


def agents():
    return row(
        "Agents and 3D generations", 8,
        lines("Agent use", "Uses of agents per second, by agent.",
              "ops", 8, query(rate("mcp_agent_usage_total", "agent_name"), "{{agent_name}}"),
              stacked=True),
        bars("Agents in range", "Uses in the chosen time range, by category and agent.",
             "none", 8,
             instant(f"sort_desc({increase('mcp_agent_usage_total', 'category, agent_name')})",
                     "{{category}} / {{agent_name}}"),
             decimals=0),
        lines("3D generations", "Generations per second by status; `pending` counts those that were "
              "begun.",
              "ops", 8, query(rate("mcp_3d_generations_total", "status"), "{{status}}"),
              overrides=colours(success=GREEN, failed=RED, pending=BLUE)),
    )
