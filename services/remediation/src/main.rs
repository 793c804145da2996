//! The command `mcp-remediation`.

mod arguments;
mod operator;

use std::process::ExitCode;

use clap::Parser as _;
use mcp_remediation::{Application, Config};
use mcpmon_bootstrap::http::health;
use mcpmon_bootstrap::logging::Logging;
use mcpmon_bootstrap::process::{self, Exit, OrExit as _};
use mcpmon_bootstrap::{reload, shutdown};

use self::arguments::Arguments;
use self::operator::Tokens;

fn main() -> ExitCode {
    process::run(|| {
        let arguments = Arguments::try_parse().map_err(|error| {
            // A closed terminal is no reason to fail differently.
            let _ = error.print();
            Exit::printed(if error.use_stderr() { process::USAGE } else { 0 })
        })?;
        arguments.one_request().or_usage()?;
        let mut settings = arguments.settings()?;
        // Whoever asks the service shares nothing with other replicas.
        let asks = arguments.health || arguments.command.is_some();
        let config =
            if asks { Config::read(&mut settings) } else { Config::of_service(&mut settings) };
        let logging = Logging::from_settings(&mut settings, "info,actix_server=warn");
        let mut token = |scope| settings.secret(&format!("remediation.{scope}_token"), "");
        let tokens = Tokens { read: token("read"), operate: token("operate") };
        settings.finish()?;
        if arguments.check_config {
            return Ok(());
        }
        if arguments.health {
            return health::check(config.listen.address).or_failed_start();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.or_failed_start()?.block_on(async {
            if let Some(command) = &arguments.command {
                let asked = operator::run(command, config.listen.address, tokens, &config.policy);
                return asked.await.or_failed_start();
            }
            logging.start().or_failed_start()?;
            serve(config, arguments).await
        })
    })
}

async fn serve(config: Config, arguments: Arguments) -> Result<(), Exit> {
    let application = Application::build(config).or_failed_start()?;
    let stop = shutdown::requested().or_failed_start()?;
    let reloads = reload::requested().or_failed_start()?;
    process::announce(application.address());
    let reload = move || {
        let mut settings = arguments.settings()?;
        let config = Config::of_service(&mut settings);
        Logging::from_settings(&mut settings, "info");
        settings.finish()?;
        Ok(config.policy)
    };
    application.run(Box::new(reload), reloads, async { _ = stop.await }).await.or_failed_start()
}
