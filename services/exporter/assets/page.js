// Reads the exporter's own JSON every two seconds and writes it into the tables.
"use strict";

const EVERY_MS = 2000;
const FAILURES_SHOWN = 20;
const byId = (id) => document.getElementById(id);
const NONE = { text: "–", kind: "none" };
// The health monitor's states, in the colours of its report. The signs are in every font, which
// emoji are not.
const ICONS = { green: "✓", yellow: "⚠", red: "✗", unknown: "?" };
const COLOURS = {
  healthy: "green",
  degraded: "yellow", auth_required: "yellow", rate_limited: "yellow",
  unhealthy: "red", http_up_mcp_broken: "red", protocol_mismatch: "red", tools_missing: "red",
};

const ACTIONS_SHOWN = 20;
// The budget of all components together.
const SYSTEM = "_system";
const RESULTS = {
  success: "green", unverified: "yellow", unknown: "yellow", refused: "yellow", failed: "red",
};
// What keeps remediation from doing anything at all.
const HELD = {
  coordination_unavailable: "it does not act without Redis",
  hold_off: "Redis came back empty, so it waits until earlier actions have surely ended",
  audit_unavailable: "the audit cannot be written",
};

const number = (value) => ({ text: value.toLocaleString("en"), kind: "number" });
const text = (value) => (value ? { text: value } : NONE);
const seconds = (value) =>
  value === null || value === undefined
    ? { ...NONE, kind: "none number" }
    : { text: value < 1 ? `${(value * 1000).toPrecision(3)} ms` : `${value.toFixed(2)} s`, kind: "number" };
// Whole ones: more places would be made up.
const milliseconds = (value) =>
  value < 1000 ? { text: `${value} ms`, kind: "number" } : seconds(value === undefined ? null : value / 1000);
const rate = (row) => ({ text: ((row.calls * 60) / Math.max(row.window_seconds, 1)).toFixed(1), kind: "number" });
const ratio = (value) =>
  value === null
    ? { ...NONE, kind: "none number" }
    : { text: `${(value * 100).toFixed(1)} %`, kind: value >= 0.05 ? "bad number" : "number" };
const dollars = (value) =>
  value === null ? { ...NONE, kind: "none number" } : { text: `$${value.toFixed(4)}`, kind: "number" };
const clock = (unix) => ({ text: new Date(unix * 1000).toLocaleTimeString() });

const SHORT = { dateStyle: "short", timeStyle: "short" };
const since = (rfc3339) =>
  Date.parse(rfc3339) ? { text: new Date(rfc3339).toLocaleString([], SHORT) } : NONE;

function fill(id, rows, empty) {
  const body = byId(id);
  const columns = body.parentElement.tHead.rows[0].cells.length;
  body.replaceChildren(
    ...(rows.length ? rows : [[{ ...NONE, text: empty, span: columns }]]).map((cells) => {
      const row = document.createElement("tr");
      for (const [place, { text, kind, span, icon }] of cells.entries()) {
        const cell = document.createElement(place === 0 && !span ? "th" : "td");
        if (place === 0 && !span) cell.scope = "row";
        if (span) cell.colSpan = span;
        if (kind) cell.className = kind;
        if (icon) {
          // The word says it; a screen reader need not say it twice.
          const mark = Object.assign(document.createElement("span"), { textContent: `${icon} ` });
          mark.setAttribute("aria-hidden", "true");
          cell.append(mark);
        }
        cell.append(text);
        row.append(cell);
      }
      return row;
    }),
  );
}

function setText(element, text) {
  // Unchanged text is left alone, or a screen reader would announce it every two seconds.
  if (element.textContent !== text) element.textContent = text;
}

function showVerdict({ status, source, reasons, left_out }) {
  const verdict = byId("verdict");
  verdict.dataset.status = status;
  setText(verdict, `${status.toUpperCase()} (${source})`);
  // A verdict without these says less than its colour.
  byId("left-out").hidden = left_out.length === 0;
  setText(byId("left-out"), `Left out: ${left_out.join("; ")}`);
  const list = byId("reasons");
  if (list.dataset.shown === JSON.stringify(reasons)) return;
  list.dataset.shown = JSON.stringify(reasons);
  list.replaceChildren(
    ...reasons.map((reason) => Object.assign(document.createElement("li"), { textContent: reason })),
  );
}

function stateOf({ state, maintenance, repairing, acknowledged }) {
  const colour = COLOURS[state] ?? "unknown";
  const notes = [
    maintenance && "in maintenance", repairing && "being repaired", acknowledged && "acknowledged",
  ].filter(Boolean);
  const words = (state ?? "unknown").replaceAll("_", " ");
  const text = notes.length ? `${words} (${notes.join(", ")})` : words;
  return { text, icon: ICONS[colour], kind: colour };
}

function toolsOf({ tools }) {
  if (!tools) return { ...NONE, kind: "none number" };
  const missing = tools.unavailable.length;
  const text = `${tools.available} of ${tools.available + missing}`;
  return { text, kind: missing ? "bad number" : "number" };
}

function troubleOf({ error, warning, maintenance, tools }) {
  const missing = tools?.unavailable.length ? `unavailable: ${tools.unavailable.join(", ")}` : null;
  const why = maintenance && `maintenance until ${since(maintenance.until).text}: ${maintenance.reason}`;
  const told = [error, warning, missing, why].filter(Boolean).join(" · ");
  return told ? { text: told, kind: "long" } : NONE;
}

function availabilityOf({ tool, server }, components) {
  const own = components.filter((c) => c.server === server && c.tools);
  if (own.some((c) => c.tools.available_names.includes(tool))) return { text: "yes" };
  return own.some((c) => c.tools.unavailable.includes(tool)) ? { text: "no", kind: "bad" } : NONE;
}

function showComponents(components) {
  // Only the health monitor knows components.
  byId("components-section").hidden = components.length === 0;
  fill(
    "components",
    components.map((c) => [
      text(c.name), text(c.kind), stateOf(c),
      milliseconds(c.latency_ms),
      toolsOf(c), since(c.since), troubleOf(c),
    ]),
    "No components.",
  );
}

const spaced = (name) => name.replaceAll("_", " ");
const moment = (ms) => ({ text: new Date(ms).toLocaleString([], SHORT) });
const long = (value) => (value ? { text: value, kind: "long" } : NONE);

function circuit(component) {
  const item = document.createElement("li");
  const command = `mcp-remediation close-circuit ${component}`;
  const whose = component === SYSTEM ? "all components: their common" : `${component}: its`;
  item.append(`${whose} budget is spent and nothing is repaired until somebody closes the circuit: `);
  item.append(Object.assign(document.createElement("code"), { textContent: command }));
  return item;
}

function noteOn(repairs) {
  if (!repairs) return "No remediation is configured: what fails is told and not repaired.";
  if (repairs.error) return `Nothing is known of repairs: ${repairs.error}`;
  const held = repairs.held && `held: ${HELD[repairs.held] ?? spaced(repairs.held)}`;
  const following = !repairs.leading && "another replica acts";
  return [`Mode: ${spaced(repairs.mode)}`, held, following].filter(Boolean).join("; ") + ".";
}

function showRepairs(repairs) {
  const known = repairs && !repairs.error;
  const note = byId("repairs-note");
  note.className = repairs?.error || repairs?.held ? "bad" : "";
  setText(note, noteOn(repairs));
  byId("blocked-table").hidden = byId("actions-table").hidden = !known;
  const { incidents, actions, circuits } = known ? repairs : { incidents: [], actions: [], circuits: [] };
  const list = byId("circuits");
  list.hidden = circuits.length === 0;
  if (list.dataset.shown !== JSON.stringify(circuits)) {
    list.dataset.shown = JSON.stringify(circuits);
    list.replaceChildren(...circuits.map(circuit));
  }
  fill(
    "blocked",
    incidents.map((i) => [
      text(i.component), text(spaced(i.failure)),
      i.decision ? { text: i.decision, kind: i.decision === "act" ? "green" : "yellow" } : NONE,
      long([i.reason && spaced(i.reason), i.detail].filter(Boolean).join(": ")), moment(i.since),
    ]),
    "No open incidents.",
  );
  fill(
    "actions",
    actions.slice(0, ACTIONS_SHOWN).map((a) => {
      const colour = RESULTS[a.result] ?? "unknown";
      return [
        moment(a.at), text(a.component), text(a.action),
        { text: a.result ?? "unknown", icon: ICONS[colour], kind: colour },
        milliseconds(a.took_ms ?? undefined), long(a.detail),
      ];
    }),
    "Nothing was repaired yet.",
  );
}

function showSummary({ servers, tools, window_seconds }, components) {
  const minutes = Math.round(window_seconds / 60);
  const window = minutes > 1 ? `${minutes} minutes` : `${Math.max(Math.round(window_seconds), 1)} s`;
  byId("window").textContent =
    `Rates, errors and percentiles over the last ${window}; calls, tokens and cost since the exporter's start.`;
  fill(
    "servers",
    servers.map((s) => [
      text(s.server), number(s.calls_total), rate(s), ratio(s.error_ratio),
      seconds(s.p50_seconds), seconds(s.p95_seconds), seconds(s.p99_seconds),
      number(s.llm_tokens), dollars(s.llm_cost_usd),
    ]),
    "No calls yet. Put mcp-tap in front of an MCP server, or post events to /v1/events.",
  );
  fill(
    "tools",
    tools.map((t) => [
      text(t.tool), text(t.server), number(t.calls_total), rate(t), ratio(t.error_ratio),
      seconds(t.p50_seconds), seconds(t.p95_seconds), seconds(t.p99_seconds),
      availabilityOf(t, components),
    ]),
    "No tools yet.",
  );
}

function showFailures({ failures }) {
  fill(
    "failures",
    failures.slice(0, FAILURES_SHOWN).map((f) => [
      clock(f.time), text(f.tool), text(f.server), text(f.status),
      text([f.error_type, f.reason, f.message].filter(Boolean).join(" · ")),
      seconds(f.duration_seconds), text(f.trace_id),
    ]),
    "No failures.",
  );
}

function showAlerts(alerts) {
  byId("alerts-section").hidden = alerts.length === 0;
  fill(
    "alerts",
    alerts.map((a) => [
      text(a.name), text(a.status), text(a.severity), text(a.server), since(a.starts_at), text(a.summary),
    ]),
    "No alerts.",
  );
}

async function read(path) {
  const reply = await fetch(path, { headers: { Accept: "application/json" } });
  if (!reply.ok) throw new Error(`${path} answered ${reply.status}`);
  return reply.json();
}

async function update() {
  try {
    const [summary, failures, status] = await Promise.all(
      ["/api/v1/summary", "/api/v1/failures?limit=20", "/api/v1/status"].map(read),
    );
    showVerdict(status.verdict);
    showComponents(status.verdict.components);
    showSummary(summary, status.verdict.components);
    showFailures(failures);
    showAlerts(status.alerts);
    showRepairs(status.repairs);
    byId("updated").textContent = `Updated ${new Date().toLocaleTimeString()}.`;
  } catch (error) {
    showVerdict({ status: "unknown", source: "the exporter does not answer", reasons: [String(error)], left_out: [] });
  }
  setTimeout(update, EVERY_MS);
}

update();
