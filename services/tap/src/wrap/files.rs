//! The files: where clients keep their configurations, how one is replaced, and its backups.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::ValueEnum;

/// How many backups of one file are kept at the most; somebody should look then.
const MAX_BACKUPS: usize = 100;

/// A program whose configuration names MCP servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// Claude Desktop
    Claude,
    /// Claude Code, which should not run meanwhile: it keeps its own state in the same file
    ClaudeCode,
    /// Cursor
    Cursor,
    /// VS Code, user's mcp.json
    Vscode,
}

/// Where a user's files are.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) home: PathBuf,
    /// Where programs keep their settings.
    pub(super) settings: PathBuf,
}

impl Client {
    /// Those that are looked at when none is named.
    pub(super) const USUAL: [Self; 3] = [Self::Claude, Self::Cursor, Self::Vscode];

    pub(super) fn files(self, Home { home, settings }: &Home) -> Vec<PathBuf> {
        match self {
            Self::Claude => vec![settings.join("Claude/claude_desktop_config.json")],
            Self::ClaudeCode => vec![home.join(".claude.json")],
            Self::Cursor => vec![home.join(".cursor/mcp.json")],
            Self::Vscode => ["Code", "Code - Insiders"]
                .map(|program| settings.join(program).join("User/mcp.json"))
                .to_vec(),
        }
    }
}

impl Home {
    pub(super) fn new(home: PathBuf, xdg: Option<PathBuf>, is_mac: bool) -> Self {
        let settings = match xdg {
            _ if is_mac => home.join("Library/Application Support"),
            Some(xdg) if xdg.is_absolute() => xdg,
            _ => home.join(".config"),
        };
        Self { home, settings }
    }
}

/// Replaces `old` by `new` as a whole, with the same permissions.
pub(super) fn replace(file: &Path, old: &str, new: &str) -> io::Result<()> {
    let draft = beside(file, ".mcp-tap-new");
    let permissions = fs::metadata(file)?.permissions();
    let written = create(&draft, new, permissions).and_then(|()| {
        if fs::read(file)? != old.as_bytes() {
            let message = "it was changed meanwhile; end the client and try again";
            return Err(io::Error::other(message));
        }
        fs::rename(&draft, file)
    });
    if written.is_err() {
        // Whether or not it is there yet.
        _ = fs::remove_file(&draft);
    }
    written
}

/// Keeps `text` beside `file`, under a name that no earlier backup has.
pub(super) fn back_up(file: &Path, text: &str) -> io::Result<PathBuf> {
    let permissions = fs::metadata(file)?.permissions();
    for backup in backup_names(file) {
        match create(&backup, text, permissions.clone()) {
            Ok(()) => return Ok(backup),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("it has {MAX_BACKUPS} backups; remove those of no use")))
}

/// The backups of `file` that can be read, newest first.
pub(super) fn backups(file: &Path) -> Vec<(PathBuf, String)> {
    let read = |backup: PathBuf| fs::read_to_string(&backup).ok().map(|text| (backup, text));
    let mut backups: Vec<_> = backup_names(file).filter_map(read).collect();
    backups.reverse();
    backups
}

fn backup_names(file: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=MAX_BACKUPS).map(|number| beside(file, &format!(".before-mcp-tap-{number}")))
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Writes a file that is not there yet. It may hold tokens, so at no time may it be open to more
/// people than `permissions` say.
fn create(path: &Path, text: &str, permissions: Permissions) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(permissions)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn each_systems_places_are_known() {
        let files = |xdg: Option<&str>, is_mac| -> Vec<String> {
            let home = Home::new("/h".into(), xdg.map(PathBuf::from), is_mac);
            let files = Client::value_variants().iter().flat_map(|client| client.files(&home));
            files.map(|file| file.to_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            files(None, false),
            [
                "/h/.config/Claude/claude_desktop_config.json",
                "/h/.claude.json",
                "/h/.cursor/mcp.json",
                "/h/.config/Code/User/mcp.json",
                "/h/.config/Code - Insiders/User/mcp.json",
            ]
        );
        assert_eq!(files(Some("/x"), false)[3], "/x/Code/User/mcp.json");
        assert_eq!(
            files(Some("/x"), true)[0],
            "/h/Library/Application Support/Claude/claude_desktop_config.json"
        );
    }

    #[test]
    fn a_file_keeps_its_permissions_and_a_stranger_s_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.json");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let backup = back_up(&file, "old").unwrap();
        replace(&file, "old", "new").unwrap();
        assert_eq!((mode(&file), mode(&backup)), (0o640, 0o640));
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let message = replace(&file, "old", "newer").unwrap_err().to_string();
        assert!(message.contains("changed meanwhile"), "{message}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        let second = back_up(&file, "new").unwrap();
        let kept = backups(&file);
        assert_eq!(kept, [(second, "new".into()), (backup, "old".into())]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "no draft is left");
    }
}
