//! The server's name, when nobody gave one: what its command starts, behind all launchers.

mod launchers;

use std::ffi::OsString;

use mcpmon_metrics::name::MAX_NAME_BYTES;

use self::launchers::Launcher;

/// Parts of a path that say nothing about what is there.
#[rustfmt::skip]
const GENERIC: &[&str] = &[
    "index", "main", "server", "app", "cli", "dist", "src", "build", "lib", "bin", "out", "run",
    "start", "mcp", "mcp-server", "__main__", "__init__", "node_modules", ".bin", ".venv", "venv",
    "usr", "local", "opt", "srv", "tmp", "home", "Users", "root", ".", "..",
];

/// The name in `command`: `uvx mcp-server-git` is `mcp-server-git`, `python3 -m tools.server` is
/// `tools.server`, `node server-everything/dist/index.js` is `server-everything`. None when the
/// command is a program text (`sh -c …`) or a launcher alone.
pub(crate) fn server_name(command: &[OsString]) -> Option<String> {
    let texts: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
    let all: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    let mut words = all.as_slice();
    loop {
        let program = words.first()?;
        // `@scope/mcp` and an address end in a package's name, not in a program's.
        let is_program = !program.starts_with('@') && !program.contains(':');
        let last = program.rsplit('/').next().filter(|_| is_program).unwrap_or_default();
        let Some(launcher) = Launcher::named(stem(last)) else { return name(program) };
        words = started(launcher, &words[1..])?;
        if launcher.image {
            return name(repository(words.first()?));
        }
    }
}

/// The words of what the launcher starts.
fn started<'w>(launcher: &Launcher, mut words: &'w [&'w str]) -> Option<&'w [&'w str]> {
    let mut is_started = launcher.bare;
    loop {
        let (word, rest) = words.split_first()?;
        if launcher.is_text(word) {
            return None;
        }
        let is_assignment = word.split_once('=').is_some_and(|(key, _)| is_plain(key));
        let is_number = word.chars().all(|c| c.is_ascii_digit() || c == '.');
        if launcher.values.contains(word) {
            words = rest.get(1..)?;
        } else if launcher.verbs.contains(word) {
            is_started = true;
            words = rest;
        } else if word.starts_with('-') || is_number || (is_assignment && !word.contains("==")) {
            words = rest;
        } else {
            return is_started.then_some(words);
        }
    }
}

/// The last part of `path` that says something, or its very last when none does.
fn name(path: &str) -> Option<String> {
    // `uvx git+https://…/server.git@main`, `npx github:owner/server`, `deno run npm:server`.
    let path = match path.split_once("://") {
        Some((_, address)) => address.split_once('/').map_or(address, |(_, path)| path),
        None => path.split_once(':').map_or(path, |(scheme, rest)| match scheme {
            "npm" | "jsr" | "github" | "file" => rest,
            _ => scheme,
        }),
    };
    let parts: Vec<&str> = path.split('/').collect();
    let is_private = |at: usize| at > 0 && matches!(parts[at - 1], "home" | "Users");
    let telling = (0..parts.len()).rev().find(|at| {
        let part = stem(parts[*at]);
        !part.is_empty() && !GENERIC.contains(&part) && !is_private(*at)
    });
    let part = telling.map_or_else(|| parts.last().copied(), |at| Some(parts[at]))?;
    let name = stem(part);
    is_plain(name).then(|| name.to_owned())
}

/// The repository of a container image: without registry, tag and digest.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let path = match image.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => path,
        _ => image,
    };
    path.split_once(':').map_or(path, |(path, _)| path)
}

/// A part of a path, or of a package's name, without extras, version and extension.
fn stem(part: &str) -> &str {
    // `package[extra]`, `package==1.2.3`, `package@1.2.3`; a scope's `@` stands first.
    let part = part.split_once('[').map_or(part, |(part, _)| part);
    let part = part.split_once("==").map_or(part, |(part, _)| part);
    let (scope, part) = match part.strip_prefix('@') {
        Some(part) => (true, part),
        None => (false, part),
    };
    let part = if scope { part } else { part.split_once('@').map_or(part, |(part, _)| part) };
    match part.rsplit_once('.') {
        Some((stem, "py" | "js" | "mjs" | "cjs" | "ts" | "mts" | "sh" | "exe" | "jar" | "git"))
            if !stem.is_empty() =>
        {
            stem
        }
        _ => part,
    }
}

/// Whether a word looks like a name.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.chars().all(plain)
        && !name.chars().all(|c| c.is_ascii_digit() || "-.+".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &str) -> Option<String> {
        let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
        server_name(&words)
    }

    #[test]
    fn a_server_is_named_by_what_the_launchers_start() {
        let cases = [
            ("mcp-server-time --local-timezone UTC", "mcp-server-time"),
            ("mcp-server-1.2", "mcp-server-1.2"),
            ("uvx mcp-server-git --repository .", "mcp-server-git"),
            ("uvx mcp-server-git==2026.10.19", "mcp-server-git"),
            ("uvx --python 3.12 mcp-server-git", "mcp-server-git"),
            ("uvx --unheard-of 3.12 mcp-server-git", "mcp-server-git"),
            ("uvx --from git+https://host/a/b.git@main some-server", "some-server"),
            ("uvx git+https://host/org/some-server.git@main", "some-server"),
            ("uv run mcp-server-git", "mcp-server-git"),
            ("uv --directory /srv/weather run weather-server", "weather-server"),
            ("uv run --with mcp[cli] mcp run /home/me/weather/server.py:app", "weather"),
            ("uv tool run --with x mcp-server-git[all]", "mcp-server-git"),
            ("pipx run --spec x mcp-server-git", "mcp-server-git"),
            ("poetry run python -m mcp_server_fetch", "mcp_server_fetch"),
            ("npx -y @modelcontextprotocol/server-everything stdio", "server-everything"),
            ("npx -y @scope/server@1.2.3", "scope"),
            ("npx @playwright/mcp@latest", "playwright"),
            ("npx server@latest", "server"),
            ("npx -p some-package some-server", "some-server"),
            ("npm exec -y -- some-server", "some-server"),
            ("pnpm dlx some-server", "some-server"),
            ("yarn dlx some-server", "some-server"),
            ("bunx some-server", "some-server"),
            ("bun run weather/src/index.ts", "weather"),
            ("bun weather.ts", "weather"),
            ("deno run --allow-net -A npm:@scope/some-server@2", "some-server"),
            ("node /srv/server-everything/dist/index.js stdio", "server-everything"),
            ("node --max-old-space-size=64 -r dotenv/config weather.js", "weather"),
            ("tsx watch weather/src/main.ts", "weather"),
            ("npx ts-node -P tsconfig.json weather.ts", "weather"),
            ("/usr/bin/python3 -m mcp_server_fetch", "mcp_server_fetch"),
            ("python3.12 -m shop.tools", "shop.tools"),
            ("python -X dev /home/me/server.py", "server"),
            ("java -cp a.jar -jar weather.jar", "weather"),
            ("env KEY=value -u OTHER uvx mcp-server-git", "mcp-server-git"),
            ("bash /opt/weather/run.sh", "weather"),
            ("docker run -i --rm mcp/git", "git"),
            (
                "docker run -i -e KEY --network host ghcr.io/org/some-server:1.2 stdio",
                "some-server",
            ),
            ("docker run --name x -v /a:/b localhost:5000/weather/mcp@sha256:ab", "weather"),
            ("podman run some-server:latest", "some-server"),
            ("./bin/server.exe", "server"),
        ];
        for (command, expected) in cases {
            assert_eq!(named(command).as_deref(), Some(expected), "{command}");
        }
    }

    #[test]
    fn some_commands_name_no_server() {
        let cases = [
            "--",
            "node",
            "sh -c exec",
            "bash -lc exec",
            "python3 -c print(1) x",
            "python3 -",
            "node -e 1 x",
            "npx -c x",
            "env -S x",
            "npm run start",
            "docker compose up",
            "uvx 3.12",
        ];
        for command in cases {
            assert_eq!(named(command), None, "{command}");
        }
        assert_eq!(server_name(&["./my server".into()]), None);
        assert_eq!(server_name(&[]), None);
    }
}
