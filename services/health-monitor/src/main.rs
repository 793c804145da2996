//! The command `mcp-health-monitor`.

mod arguments;
mod operator;

use std::process::ExitCode;

use clap::Parser as _;
use mcp_health_monitor::{Application, Config, once};
use mcpmon_bootstrap::http::health;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::process::{self, Exit, OrExit as _};
use mcpmon_bootstrap::{reload, shutdown};

use self::arguments::{Arguments, Format};
use self::operator::Tokens;

fn main() -> ExitCode {
    let mut verdict = ExitCode::SUCCESS;
    let ended = process::run(|| {
        let arguments = Arguments::try_parse().map_err(|error| {
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            Exit::printed(if error.use_stderr() { process::USAGE } else { 0 })
        })?;
        arguments.one_request().or_usage()?;
        let mut settings = arguments.settings()?;
        let config = Config::read(&mut settings);
        let quiet = if arguments.once { "error" } else { "info,actix_server=warn,rmcp=off" };
        let logging = Logging::from_settings(&mut settings, quiet);
        let mut token = |scope| settings.secret(&format!("health_monitor.{scope}_token"), "");
        let tokens = Tokens { read: token("read"), operate: token("operate") };
        settings.finish()?;
        if arguments.check_config {
            return Ok(());
        }
        if arguments.health {
            return health::check(config.listen.address).or_failed_start();
        }
        logging.start().or_failed_start()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.or_failed_start()?.block_on(async {
            if let Some(command) = &arguments.command {
                let address = config.listen.address;
                return operator::run(command, address, tokens).await.or_failed_start();
            }
            if arguments.once {
                let once = once::run(config).await.or_failed_start()?;
                verdict = ExitCode::from(once.report.overall.status.exit_code());
                return print(&once, arguments.format);
            }
            serve(config, arguments).await
        })
    });
    if ended == ExitCode::SUCCESS { verdict } else { ended }
}

async fn serve(config: Config, arguments: Arguments) -> Result<(), Exit> {
    let application = Application::build(config).or_failed_start()?;
    let stop = shutdown::requested().or_failed_start()?;
    let reloads = reload::requested().or_failed_start()?;
    process::announce(application.address());
    let reload = move || {
        let mut settings = arguments.settings()?;
        let config = Config::read(&mut settings);
        Logging::from_settings(&mut settings, "info");
        settings.finish()?;
        Ok(config.watch)
    };
    application.run(Box::new(reload), reloads, async { _ = stop.await }).await.or_failed_start()
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what --once is for")]
fn print(once: &once::Once, format: Format) -> Result<(), Exit> {
    match format {
        Format::Text => {
            let mut text = String::new();
            once.report.write_text(&mut text).or_failed_start()?;
            print!("{text}");
        }
        Format::Json => {
            let json = serde_json::to_string_pretty(&once.report).or_failed_start()?;
            println!("{json}");
        }
    }
    for remark in &once.remarks {
        eprintln!("note: {remark}");
    }
    Ok(())
}
