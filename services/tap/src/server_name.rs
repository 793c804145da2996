//! The server's name, when nobody gave one: the first word of its command that says what runs.

use std::ffi::OsString;
use std::path::Path;

use mcpmon_metrics::name::MAX_NAME_BYTES;

/// Words that start other programs, without the version that some carry.
const LAUNCHERS: [&str; 4] = ["uvx", "npx", "node", "python"];

/// The name in `command`: `uvx mcp-server-git` is `mcp-server-git`, `python3 -m tools.server` is
/// `tools.server`, `node dist/index.js` is `index`. A command of launchers alone is named by its
/// first word.
pub(crate) fn server_name(command: &[OsString]) -> Option<String> {
    let words = || command.iter().map(|word| word.to_string_lossy());
    let names = words().filter(|word| !word.starts_with('-')).map(|word| base(&word));
    let mut names = names.filter(|name| is_plain(name));
    names.clone().find(|name| !is_launcher(name)).or_else(|| names.next())
}

/// Whether a word looks like a name, and not like the program text of `python -c`.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.+".contains(c);
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(plain)
}

/// The last part of a path, or of an npm package, without its extension and version.
fn base(word: &str) -> String {
    let path = Path::new(word);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // `package@1.2.3` and `package==1.2.3`; a scope's `@` stands first.
    let name = name.split_once("==").map_or(&*name, |(name, _)| name);
    let name = match name.rfind('@') {
        None | Some(0) => name,
        Some(version) => &name[..version],
    };
    match name.rsplit_once('.') {
        Some((stem, "py" | "js" | "mjs" | "cjs" | "ts" | "sh" | "exe" | "jar")) => stem.to_owned(),
        _ => name.to_owned(),
    }
}

fn is_launcher(name: &str) -> bool {
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LAUNCHERS.contains(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_that_is_no_launcher_names_the_server() {
        let cases = [
            ("mcp-server-time --local-timezone UTC", "mcp-server-time"),
            ("uvx mcp-server-git --repository .", "mcp-server-git"),
            ("npx -y @modelcontextprotocol/server-everything stdio", "server-everything"),
            ("npx -y @scope/server@1.2.3", "server"),
            ("npx server@latest", "server"),
            ("uvx mcp-server-git==2026.10.19", "mcp-server-git"),
            ("node /srv/app/dist/index.js stdio", "index"),
            ("/usr/bin/python3 -m mcp_server_fetch", "mcp_server_fetch"),
            ("python3.12 -m shop.tools", "shop.tools"),
            ("./bin/server.exe", "server"),
            ("mcp-server-1.2", "mcp-server-1.2"),
            ("node", "node"),
            ("python3 -c print(1)", "python3"),
            ("python3 -", "python3"),
        ];
        for (command, expected) in cases {
            let words: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            assert_eq!(server_name(&words).as_deref(), Some(expected), "{command}");
        }
    }

    #[test]
    fn a_command_without_a_plain_word_has_no_name() {
        assert_eq!(server_name(&["--".into()]), None);
        assert_eq!(server_name(&["a b".into(), "x\ny".into()]), None);
    }
}
