"""A client of PyPI's mcp 2.x for the client scenarios of the conformance suites: client.py URL. The suite
says in the environment which scenario it plays, at which revision, and what else the client has to know.

MCPMON_IN_PLACE is what listens in the URL's place, as behind a public address: connections for the
URL's authority go there, and the requests stay what they are."""

import functools
import json
import os
import sys

import anyio
import httpx2
from mcp import Client, types
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata

SCENARIO = os.environ["MCP_CONFORMANCE_SCENARIO"]
MODERN = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "") >= "2026-07-28"
CONTEXT = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
IN_PLACE = os.environ.get("MCPMON_IN_PLACE")

# Seconds. A suite starts all its clients at once.
PATIENCE = 60

CALLBACK = "http://127.0.0.1:3000/callback"
# The suite knows this as the client's own document.
DOCUMENT = "https://conformance-test.local/client-metadata.json"


# What the client does ------------------------------------------------------------------------------


async def call_all(client: Client) -> None:
    """Calls every tool there is, with a number or a text for whatever it must have."""
    for tool in (await client.list_tools()).tools:
        required = {name: tool.input_schema["properties"][name] for name in tool.input_schema.get("required", [])}
        values = {name: 5 if schema.get("type") == "number" else "a text" for name, schema in required.items()}
        await client.call_tool(tool.name, values)


async def list_and_read(client: Client) -> None:
    await call_all(client)
    for resource in (await client.list_resources()).resources:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts:
        await client.get_prompt(prompt.name)


async def list_only(client: Client) -> None:
    await client.list_tools()


async def call_as_told(client: Client) -> None:
    await client.list_tools()
    for call in CONTEXT["toolCalls"]:
        await client.call_tool(call["name"], call["arguments"])


async def give_the_schema_back(client: Client) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    schema = tools["json_schema_2020_12_tool"].input_schema
    await client.call_tool("json_schema_echo", {"schema": schema})


async def list_and_call_twice(client: Client) -> None:
    """The second time some of the servers want other credentials than the first."""
    for _ in range(2):
        await call_all(client)


WAYS = {
    "initialize": list_only,
    "http-standard-headers": list_and_read,
    "http-custom-headers": call_as_told,
    "json-schema-ref-no-deref": list_only,
    "json-schema-2020-12-preservation": give_the_schema_back,
    "auth/authorization-server-migration": list_and_call_twice,
}


async def elicit(context, params) -> types.ElicitResult:
    """Accepts: with the defaults where there are some, with yes where there are none."""
    properties = params.requested_schema["properties"]
    content = {name: schema.get("default", True) for name, schema in properties.items()}
    return types.ElicitResult(action="accept", content=content)


async def sample(context, params) -> types.CreateMessageResult:
    content = types.TextContent(type="text", text="silk")
    return types.CreateMessageResult(role="assistant", content=content, model="none")


async def list_roots(context) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[])


# How it signs in -----------------------------------------------------------------------------------


class Storage:
    """Tokens and registration, as long as the client runs."""

    def __init__(self, client_info: OAuthClientInformationFull | None):
        self.tokens, self.client_info = None, client_info

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client_info

    async def set_client_info(self, client_info) -> None:
        self.client_info = client_info


def code_flow(url: str) -> OAuthClientProvider:
    """Somebody who consents at once: the server's redirect is followed to the callback, and not beyond."""
    answers = []

    async def consent(address: str) -> None:
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(address)
            answers.append(httpx2.URL(answer.headers["location"]).params)

    async def callback() -> AuthorizationCodeResult:
        answer = answers.pop()
        return AuthorizationCodeResult(code=answer["code"], state=answer.get("state"), iss=answer.get("iss"))

    known = None
    if "client_secret" in CONTEXT:
        known = OAuthClientInformationFull(
            redirect_uris=[CALLBACK],
            client_id=CONTEXT["client_id"],
            client_secret=CONTEXT["client_secret"],
            token_endpoint_auth_method="client_secret_basic",
            issuer=CONTEXT.get("issuer"),
        )
    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="mcpmon")
    return OAuthClientProvider(url, metadata, Storage(known), consent, callback, DOCUMENT)


def signed(url: str) -> PrivateKeyJWTOAuthProvider:
    parameters = SignedJWTParameters(
        issuer=CONTEXT["client_id"],
        subject=CONTEXT["client_id"],
        signing_key=CONTEXT["private_key_pem"],
        signing_algorithm=CONTEXT["signing_algorithm"],
    )
    return PrivateKeyJWTOAuthProvider(
        url, Storage(None), CONTEXT["client_id"], parameters.create_assertion_provider()
    )


def secret(url: str) -> ClientCredentialsOAuthProvider:
    return ClientCredentialsOAuthProvider(url, Storage(None), CONTEXT["client_id"], CONTEXT["client_secret"])


SIGNING_IN = {"auth/client-credentials-jwt": signed, "auth/client-credentials-basic": secret}


# How it connects -----------------------------------------------------------------------------------


class InPlace(httpx2.AsyncHTTPTransport):
    """Connects to somebody else in the place of one authority."""

    def __init__(self, authority: str, other: str):
        super().__init__()
        self.authority, self.other = authority, httpx2.URL(other)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.netloc.decode() == self.authority:
            # The request has its Host header already.
            request.url = request.url.copy_with(host=self.other.host, port=self.other.port)
        return await super().handle_async_request(request)


async def main(url: str) -> None:
    # The one scenario about finding the revision out; elsewhere it is known.
    mode = "auto" if SCENARIO == "request-metadata" else "2026-07-28" if MODERN else "legacy"
    transport = InPlace(httpx2.URL(url).netloc.decode(), IN_PLACE) if IN_PLACE else None
    auth = SIGNING_IN.get(SCENARIO, code_flow)(url) if SCENARIO.startswith("auth/") else None
    timeout = httpx2.Timeout(PATIENCE)
    async with httpx2.AsyncClient(transport=transport, auth=auth, timeout=timeout) as http:
        session = Client(
            streamable_http_client(url, http_client=http),
            mode=mode,
            elicitation_callback=elicit,
            sampling_callback=sample,
            list_roots_callback=list_roots,
            read_timeout_seconds=PATIENCE,
        )
        async with session as client:
            await WAYS.get(SCENARIO, call_all)(client)


anyio.run(functools.partial(main, sys.argv[1]))
