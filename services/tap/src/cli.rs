//! The command line and the environment, parsed once.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use mcpmon_sdk::SecretString;

use crate::http::{AllowedHosts, Upstream};
use crate::server_name::server_name;

/// The exporter of an installation that nobody configured.
const DEFAULT_EXPORTER: &str = "http://127.0.0.1:9090";

/// Stands in front of an MCP server, passes every byte unchanged, and reports the calls to an
/// exporter.
#[derive(Debug, Parser)]
#[command(
    name = "mcp-tap",
    version,
    after_help = "`mcp-tap wrap` puts it into existing client configurations: `mcp-tap wrap --help`"
)]
struct Arguments {
    /// The name under which the server is reported [default: what the command starts]
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// The exporter's base address [env: MCP_EXPORTER_URL] [default: http://127.0.0.1:9090]
    #[arg(long, value_name = "URL")]
    exporter: Option<String>,

    /// Serve /metrics there, instead of telling an exporter; beside one, about the tap itself
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["health", "unobserved"])]
    metrics: Option<SocketAddr>,

    /// Serve --metrics beyond loopback, too; the page asks for no token
    #[arg(long, requires = "metrics")]
    allow_unauthenticated: bool,

    /// A file with the exporter's write token [env: MCP_EXPORTER_TOKEN_FILE]; the token itself
    /// may be in MCP_EXPORTER_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// A TOML file whose section `tap` says which calls count as an agent's use, tokens or 3D
    /// generations [env: MCP_TAP_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// An HTTP server to stand in front of, [NAME=][/PREFIX=]URL; may be given several times
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    upstream: Vec<String>,

    /// Where to listen in front of --upstream
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        conflicts_with = "command"
    )]
    listen: SocketAddr,

    /// A name beside the loopback ones under which --listen and --metrics may be asked; several
    /// times
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,

    /// Ask the tap that listens on --listen whether it serves; exit code 70 says no
    #[arg(
        long,
        conflicts_with_all = ["upstream", "command", "allow_host", "server", "exporter", "token_file", "config"]
    )]
    health: bool,

    /// Pass traffic and observe nothing, to compare
    #[arg(long, hide = true, conflicts_with = "command")]
    unobserved: bool,

    /// The server's command and its arguments
    #[arg(last = true, required_unless_present_any = ["upstream", "health"], value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// What the tap was asked to do.
#[derive(Debug)]
pub struct Settings {
    /// The exporter's base address, if one is told.
    pub exporter: Option<String>,
    /// How the tap shows that it may write there.
    pub token: Token,
    /// Where to serve `/metrics`.
    pub metrics: Option<Metrics>,
    /// The file with rules about what calls are for.
    pub config: Option<PathBuf>,
    /// In front of what.
    pub task: Task,
}

/// The tap's own page.
#[derive(Debug)]
pub struct Metrics {
    /// Where to listen.
    pub address: SocketAddr,
    /// The names under which it may be asked for.
    pub names: Vec<String>,
}

/// In front of what the tap stands.
#[derive(Debug)]
pub enum Task {
    /// A stdio server, its child.
    Run(Run),
    /// HTTP servers.
    Listen(Listen),
    /// Of nothing: it asks the tap that listens there whether it serves.
    Health(SocketAddr),
}

/// A stdio server.
#[derive(Debug)]
pub struct Run {
    /// The server's name.
    pub server: String,
    /// The program to run.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// HTTP servers behind one listener.
#[derive(Debug)]
pub struct Listen {
    /// Where to listen.
    pub address: SocketAddr,
    /// The servers.
    pub upstreams: Vec<Upstream>,
    /// The names under which they may be asked for.
    pub hosts: AllowedHosts,
    /// Whether anything is observed.
    pub observe: bool,
}

/// Where the exporter's token comes from.
#[derive(Debug)]
pub enum Token {
    /// Nowhere: the exporter asks for none.
    None,
    /// From the environment.
    Given(SecretString),
    /// From a file.
    File(PathBuf),
}

/// Why the settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The command line is wrong, or asked for help.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    /// Both ways to give a token were used.
    #[error("MCP_EXPORTER_TOKEN and MCP_EXPORTER_TOKEN_FILE are both set; expected one of them")]
    TwoTokens,
    /// There is no program to run.
    #[error("the command is empty; expected the server's program after `--`")]
    NoCommand,
    /// The command has no word that could name the server.
    #[error("the command names no server; expected --server NAME")]
    NoName,
    /// An option of the listener is wrong.
    #[error("{0}")]
    Listener(String),
    /// Two servers cannot be told apart.
    #[error(
        "two servers are behind {:?}; expected a prefix for each, such as \
         --upstream /one=http://… --upstream /two=http://…", .0
    )]
    SamePrefix(String),
    /// A page that all may read who reach it.
    #[error(
        "--metrics {0} is beyond loopback, and the page asks for no token; expected a loopback \
         address, or --allow-unauthenticated as well"
    )]
    OpenPage(SocketAddr),
    /// Names for no listener.
    #[error(
        "--allow-host names who may ask at --listen or --metrics, and neither is there; expected \
         --metrics ADDRESS, or no --allow-host"
    )]
    NothingToAsk,
    /// One name for several servers.
    #[error("--server names one server and there are several; expected --upstream NAME=…")]
    OneName,
}

impl Settings {
    /// Reads `arguments` (the program's own name first) over the environment that `env` gives.
    /// A variable that is empty counts as not set: clients' configurations hold such.
    ///
    /// # Errors
    /// What is wrong with them, with what would be right.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, UsageError> {
        let env = |key| env(key).filter(|value| !value.is_empty());
        let given = Arguments::try_parse_from(arguments)?;
        let text = |key| env(key).map(|value| value.to_string_lossy().into_owned());
        let (token, file) = (text("MCP_EXPORTER_TOKEN"), env("MCP_EXPORTER_TOKEN_FILE"));
        let token = match (given.token_file, token, file) {
            (Some(file), ..) => Token::File(file),
            (None, Some(_), Some(_)) => return Err(UsageError::TwoTokens),
            (None, Some(token), None) => Token::Given(token.into()),
            (None, None, Some(file)) => Token::File(file.into()),
            (None, None, None) => Token::None,
        };
        let hosts = AllowedHosts::new(&given.allow_host).map_err(UsageError::Listener)?;
        if !given.allow_host.is_empty() && given.metrics.is_none() && given.upstream.is_empty() {
            return Err(UsageError::NothingToAsk);
        }
        if let Some(address) = given.metrics
            && !address.ip().is_loopback()
            && !given.allow_unauthenticated
        {
            return Err(UsageError::OpenPage(address));
        }
        let exporter = given.exporter.or_else(|| text("MCP_EXPORTER_URL"));
        Ok(Self {
            exporter: match given.metrics {
                Some(_) => exporter,
                None => exporter.or_else(|| Some(DEFAULT_EXPORTER.to_owned())),
            },
            token,
            metrics: given.metrics.map(|address| Metrics { address, names: given.allow_host }),
            config: given.config.or_else(|| env("MCP_TAP_CONFIG").map(PathBuf::from)),
            task: if given.health {
                Task::Health(given.listen)
            } else if given.upstream.is_empty() {
                Task::Run(Run::new(given.server, given.command)?)
            } else {
                Task::Listen(Listen {
                    address: given.listen,
                    upstreams: upstreams(&given.upstream, given.server)?,
                    hosts,
                    observe: !given.unobserved,
                })
            },
        })
    }
}

impl Run {
    fn new(server: Option<String>, command: Vec<OsString>) -> Result<Self, UsageError> {
        let named = server.or_else(|| server_name(&command));
        let mut command = command.into_iter();
        let program = command.next().filter(|program| !program.is_empty());
        let program = program.ok_or(UsageError::NoCommand)?;
        let server = named.ok_or(UsageError::NoName)?;
        Ok(Self { server, program, arguments: command.collect() })
    }
}

fn upstreams(given: &[String], server: Option<String>) -> Result<Vec<Upstream>, UsageError> {
    let all = given.iter().map(|text| Upstream::parse(text)).collect::<Result<Vec<_>, _>>();
    let mut all = all.map_err(UsageError::Listener)?;
    let mut prefixes: Vec<&str> = all.iter().map(|upstream| upstream.prefix.as_str()).collect();
    prefixes.sort_unstable();
    if let Some(twice) = prefixes.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(UsageError::SamePrefix(twice[0].to_owned()));
    }
    if let Some(name) = server {
        let [upstream] = all.as_mut_slice() else { return Err(UsageError::OneName) };
        upstream.name = name;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str], env: &[(&str, &str)]) -> Result<Settings, UsageError> {
        let words = ["mcp-tap"].iter().chain(words).map(OsString::from);
        Settings::read(words, |key| {
            env.iter().find(|(known, _)| *known == key).map(|(_, value)| value.into())
        })
    }

    #[test]
    fn everything_has_a_default_but_the_command() {
        let settings = read(&["--", "uvx", "mcp-server-git", "--repository", "."], &[]).unwrap();
        assert_eq!(settings.exporter.as_deref(), Some(DEFAULT_EXPORTER));
        assert!(settings.metrics.is_none());
        assert!(matches!(settings.token, Token::None));
        let Task::Run(run) = settings.task else { panic!("{settings:?}") };
        assert_eq!(run.server, "mcp-server-git");
        assert_eq!(run.program, "uvx");
        assert_eq!(run.arguments, ["mcp-server-git", "--repository", "."]);

        let settings = read(&["--upstream", "http://h:8000/mcp"], &[]).unwrap();
        let Task::Listen(listen) = settings.task else { panic!("{settings:?}") };
        assert_eq!(listen.address.to_string(), "127.0.0.1:8080");
        assert_eq!(listen.upstreams[0].name, "h");
    }

    #[test]
    fn flags_stand_over_the_environment() {
        let env = [
            ("MCP_EXPORTER_URL", "http://env:1"),
            ("MCP_EXPORTER_TOKEN", "secret"),
            ("MCP_EXPORTER_TOKEN_FILE", ""),
        ];
        let settings = read(&["--", "cat"], &env).unwrap();
        assert_eq!(settings.exporter.as_deref(), Some("http://env:1"));
        assert!(matches!(settings.token, Token::Given(_)));
        assert!(!format!("{settings:?}").contains("secret"));

        let flags =
            ["--server", "s", "--exporter", "http://flag:2", "--token-file", "/t", "--", "cat"];
        let settings = read(&flags, &env).unwrap();
        assert_eq!(settings.exporter.as_deref(), Some("http://flag:2"));
        assert!(matches!(settings.task, Task::Run(run) if run.server == "s"));
        assert!(matches!(settings.token, Token::File(file) if file.as_os_str() == "/t"));
    }

    #[test]
    fn a_page_of_its_own_takes_the_exporters_place_unless_one_is_named() {
        let page = ["--metrics", "127.0.0.1:9464", "--allow-host", "tap", "--", "cat"];
        let settings = read(&page, &[]).unwrap();
        assert_eq!(settings.exporter, None);
        assert!(matches!(settings.metrics, Some(page) if page.names == ["tap"]));
        let settings = read(&page, &[("MCP_EXPORTER_URL", "http://env:1")]).unwrap();
        assert_eq!(settings.exporter.as_deref(), Some("http://env:1"));
    }

    #[test]
    fn wrong_usage_is_told() {
        let message = |words: &[&str], env: &[_]| read(words, env).unwrap_err().to_string();
        assert!(message(&[], &[]).contains("<COMMAND>"));
        assert!(message(&["cat"], &[]).contains("--"));
        assert!(message(&["--nope", "--", "cat"], &[]).contains("--nope"));
        assert!(message(&["--", ""], &[]).contains("after `--`"));
        assert!(message(&["--", "./my server"], &[]).contains("--server NAME"));
        assert!(message(&["--allow-host", "a", "--", "cat"], &[]).contains("--metrics ADDRESS"));
        assert!(message(&["--metrics", "9464", "--", "cat"], &[]).contains("--metrics"));
        let open = ["--metrics", "0.0.0.0:9464", "--", "cat"];
        assert!(message(&open, &[]).contains("--allow-unauthenticated"));
        assert!(read(&[&["--allow-unauthenticated"], &open[..]].concat(), &[]).is_ok());
        assert!(message(&["--health", "--config", "x"], &[]).contains("cannot be used"));
        let upstream = ["--upstream", "http://a", "--upstream", "http://b"];
        assert!(message(&upstream, &[]).contains("two servers are behind \"\""));
        let named = ["--server", "s", "--upstream", "http://a", "--upstream", "/b=http://b"];
        assert!(message(&named, &[]).contains("--upstream NAME="));
        assert!(message(&["--upstream", "http://a", "--", "cat"], &[]).contains("cannot be used"));
        assert!(message(&["--listen", "127.0.0.1:1", "--", "cat"], &[]).contains("cannot be used"));
        assert!(message(&["--listen", "127.0.0.1:1"], &[]).contains("<COMMAND>"));
        assert!(message(&["--listen", "x", "--upstream", "http://a"], &[]).contains("--listen"));
        let both = [("MCP_EXPORTER_TOKEN", "a"), ("MCP_EXPORTER_TOKEN_FILE", "b")];
        assert!(message(&["--", "cat"], &both).contains("both set"));
    }
}
