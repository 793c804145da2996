//! `mcp-tap wrap`: puts the tap before the servers of existing client configurations, and takes
//! it away again.
//!
//! A file is read, its edits are planned as places in its text, shown, and made in a copy that
//! takes the file's place; a backup stays beside it. Undoing gives the backup's bytes when the file
//! is still what wrapping made of it; what was changed since stays, and only the tap goes.

mod arguments;
mod diff;
mod edit;
mod files;
mod json;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::Parser as _;

use self::arguments::Arguments;
use self::edit::{Fate, Launch, Plan};
use self::files::{Client, Home};
use self::json::Unreadable;

/// The word that asks for it.
pub const WORD: &str = "wrap";

/// Why nothing, or not everything, was done.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// The command line is wrong, or asked for help.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// There is no user to look for.
    #[error("HOME is not set; expected --file FILE")]
    NoHome,
    /// No client is there.
    #[error("no client's configuration is there; looked for {0}; expected --file FILE")]
    NoFile(String),
    /// The tap does not know where it is itself, or a path is none.
    #[error("{path} cannot be written in a configuration; expected a path of text")]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// A file holds something else.
    #[error("{} is no configuration, and was not changed: {error}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Where and what.
        error: Unreadable,
    },
    /// The system refused something.
    #[error("{} was not changed: {error}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The answer cannot be written.
    #[error("cannot say what was done: {0}")]
    Output(#[from] io::Error),
}

/// Does what `words` ask for, with what they are about told on `out`.
///
/// # Errors
/// When nothing can be done, or a file was left as it was. Other files are changed nevertheless.
pub fn run(
    words: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
    out: &mut impl Write,
) -> Result<(), Vec<WrapError>> {
    let alone = |error| vec![error];
    let given = Arguments::try_parse_from(words).map_err(|error| alone(error.into()))?;
    let files = wanted(&given, env).map_err(alone)?;
    let launch = launch(&given).map_err(alone)?;
    let results = files.iter().map(|file| change(file, &given, &launch, out));
    let errors: Vec<_> = results.filter_map(Result::err).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The files that were named, or those of the clients that are there.
fn wanted(
    given: &Arguments,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<PathBuf>, WrapError> {
    if !given.file.is_empty() {
        return Ok(given.file.clone());
    }
    let path = |key| env(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = path("HOME").ok_or(WrapError::NoHome)?;
    let home = Home::new(home, path("XDG_CONFIG_HOME"), cfg!(target_os = "macos"));
    let clients = if given.client.is_empty() { &Client::USUAL[..] } else { &given.client };
    let all: Vec<_> = clients.iter().flat_map(|client| client.files(&home)).collect();
    let there: Vec<_> = all.iter().filter(|file| file.exists()).cloned().collect();
    if there.is_empty() {
        let names: Vec<_> = all.iter().map(|file| file.display().to_string()).collect();
        return Err(WrapError::NoFile(names.join(", ")));
    }
    Ok(there)
}

/// How clients are to start the tap. By its whole path: a program with windows rarely has the
/// shell's PATH, and starts servers in a folder of its own.
fn launch(given: &Arguments) -> Result<Launch, WrapError> {
    let text = |path: PathBuf| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(WrapError::Path { path }),
    };
    let mut options = Vec::new();
    if let Some(url) = &given.exporter {
        options.extend(["--exporter".to_owned(), url.clone()]);
    }
    for (option, file) in [("--token-file", &given.token_file), ("--config", &given.config)] {
        if let Some(file) = file {
            options.extend([option.to_owned(), text(std::path::absolute(file)?)?]);
        }
    }
    Ok(Launch { program: text(env::current_exe()?)?, options })
}

fn change(
    named: &Path,
    given: &Arguments,
    launch: &Launch,
    out: &mut impl Write,
) -> Result<(), WrapError> {
    let failed = |error| WrapError::File { file: named.to_owned(), error };
    let unreadable = |error| WrapError::Unreadable { file: named.to_owned(), error };
    // Where it really is: a link stays one.
    let file = fs::canonicalize(named).map_err(failed)?;
    let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
        ErrorKind::InvalidData => failed(io::Error::other("it is not in UTF-8")),
        _ => failed(error),
    })?;
    let plan = if given.undo { Plan::unwrap(&text) } else { Plan::wrap(&text, launch) };
    let plan = plan.map_err(unreadable)?;
    writeln!(out, "{}", named.display())?;
    for (name, fate) in &plan.servers {
        tell(out, name, fate, launch, given.undo)?;
    }
    if plan.edits.is_empty() {
        return Ok(writeln!(out, "  nothing to change")?);
    }
    write!(out, "{}", diff::diff(&text, &plan.edits))?;
    let new = plan.apply(&text);
    // What was written must be readable; a configuration is not the place to find out.
    json::parse(&new).map_err(unreadable)?;
    if given.dry_run {
        return Ok(writeln!(out, "  not changed: --dry-run")?);
    }
    if given.undo {
        return undo(&file, &text, &new, out).map_err(failed);
    }
    let backup = files::back_up(&file, &text).map_err(failed)?;
    files::replace(&file, &text, &new).map_err(failed)?;
    Ok(writeln!(out, "  changed; what it was is in {}", backup.display())?)
}

/// Gives the bytes of the backup that `text` was made of, or else `plain`.
fn undo(file: &Path, text: &str, plain: &str, out: &mut impl Write) -> io::Result<()> {
    let launch = edit::launch_in(text);
    let made_of = |backup: &str| {
        let had_none = Plan::unwrap(backup).is_ok_and(|plan| plan.edits.is_empty());
        let plan = launch.as_ref().and_then(|launch| Plan::wrap(backup, launch).ok());
        had_none && plan.is_some_and(|plan| plan.apply(backup) == text)
    };
    let backups = files::backups(file);
    if let Some((backup, before)) = backups.iter().find(|(_, before)| made_of(before)) {
        files::replace(file, text, before)?;
        fs::remove_file(backup)?;
        return writeln!(out, "  it is byte for byte what it was");
    }
    files::replace(file, text, plain)?;
    writeln!(out, "  changed; what was changed in it since stays, and so do its backups")
}

fn tell(
    out: &mut impl Write,
    name: &str,
    fate: &Fate,
    launch: &Launch,
    undo: bool,
) -> io::Result<()> {
    let shown = name.escape_debug();
    match fate {
        Fate::Wrapped => writeln!(out, "  {shown}: behind the tap"),
        Fate::Unwrapped => writeln!(out, "  {shown}: without the tap"),
        Fate::Unchanged if undo => writeln!(out, "  {shown}: has no tap"),
        Fate::Unchanged => writeln!(out, "  {shown}: has the tap already"),
        Fate::Left(reason) => writeln!(out, "  {shown}: left as it is: {reason}"),
        Fate::Http(_) if undo => writeln!(out, "  {shown}: left as it is: it is asked over HTTP"),
        Fate::Http(url) => {
            let options = launch.options.iter().map(String::as_str);
            let words = ["mcp-tap", "--server", name].into_iter().chain(options).chain([
                "--listen",
                "127.0.0.1:8080",
                "--upstream",
                url,
            ]);
            // Names and addresses are whoever wrote the file's; a person pastes this.
            let command = shlex::try_join(words).unwrap_or_else(|_| "mcp-tap".to_owned());
            writeln!(
                out,
                "  {shown}: left as it is: it is asked over HTTP. Run `{command}` and write \
                 http://127.0.0.1:8080 in place of its scheme and host"
            )
        }
    }
}
