//! systemd over D-Bus: a unit's properties, and a restart whose job is waited for.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use mcpmon_metrics::redact;
use tokio::time::{Instant, timeout_at};
use zbus::fdo::{self, PropertiesProxy};
use zbus::names::InterfaceName;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, connection, proxy};

use super::state::State;
use crate::action::Trouble;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// One unit on one bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bus<'a> {
    pub(super) unit: &'a str,
    pub(super) address: Option<&'a str>,
}

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    async fn get_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    async fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    async fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    async fn subscribe(&self) -> zbus::Result<()>;
    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: OwnedObjectPath,
        unit: String,
        result: String,
    ) -> zbus::Result<()>;
}

impl Bus<'_> {
    pub(super) async fn state(self, limit: Duration) -> Result<State, Trouble> {
        let read = async {
            let connection = self.connect().await?;
            let manager = ManagerProxy::new(&connection).await?;
            self.read(&connection, &manager).await
        };
        match timeout_at(Instant::now() + limit, read).await {
            Ok(state) => state.map_err(|error| self.trouble(&error, false)),
            Err(_) => Err(self.silence(limit)),
        }
    }

    pub(super) async fn restart(self, limit: Duration) -> Result<(), Trouble> {
        let deadline = Instant::now() + limit;
        let prepare = async {
            let connection = self.connect().await?;
            let manager = ManagerProxy::new(&connection).await?;
            // Without this, systemd tells nobody about its jobs; and it must be heard before there
            // is a job, or its end may be missed.
            manager.subscribe().await?;
            let ends = manager.receive_job_removed_with_args(&[(2, self.unit)]).await?;
            let state = self.read(&connection, &manager).await?;
            Ok((manager, ends, state))
        };
        let (manager, mut ends, state) = match timeout_at(deadline, prepare).await {
            Ok(ready) => ready.map_err(|error| self.trouble(&error, false))?,
            // Nothing was asked for yet.
            Err(_) => return Err(Trouble::Refused(format!("{}", self.silence(limit)))),
        };

        let restart = async {
            if state.needs_reset()
                && let Err(error) = manager.reset_failed_unit(self.unit).await
                && !self.is_answer(&error)
            {
                return Err(error);
            }
            let job = manager.restart_unit(self.unit, "replace").await?;
            while let Some(end) = ends.next().await {
                let end = end.args()?;
                if end.job == job {
                    return Ok(Some(end.result));
                }
            }
            Ok(None)
        };
        let unit = self.unit;
        match timeout_at(deadline, restart).await {
            Ok(Ok(Some(result))) if result == "done" => Ok(()),
            Ok(Ok(Some(result))) => Err(Trouble::Failed(format!("unit {unit}: its job: {result}"))),
            Ok(Ok(None)) => {
                let text = format!("unit {unit}: the bus was gone before its job had ended");
                Err(Trouble::Unknown(text))
            }
            Ok(Err(error)) => Err(self.trouble(&error, true)),
            Err(_) => Err(self.silence(limit)),
        }
    }

    async fn connect(self) -> zbus::Result<Connection> {
        let builder = match self.address {
            Some(address) => connection::Builder::address(address),
            None => connection::Builder::system(),
        };
        builder.build().await
    }

    /// Asks for a unit that is loaded; to load one would make systemd know what it did not.
    async fn read(
        self,
        connection: &Connection,
        manager: &ManagerProxy<'_>,
    ) -> zbus::Result<State> {
        let path = manager.get_unit(self.unit).await?;
        let properties =
            PropertiesProxy::builder(connection).destination(SYSTEMD).path(path).build().await?;
        let unit = properties.get_all(InterfaceName::try_from(UNIT)?).await?;
        let service = properties.get_all(InterfaceName::try_from(SERVICE)?).await?;
        let text = |from: &HashMap<String, OwnedVariant>, name: &str| {
            take::<String>(from, name).unwrap_or_default()
        };
        // A reload, or a wait until the program says that it is ready, makes no other run.
        let started_at = [(&service, "ExecMainStartTimestamp"), (&unit, "ActiveEnterTimestamp")]
            .into_iter()
            .filter_map(|(from, name)| take::<u64>(from, name))
            .find(|micros| *micros > 0);
        let job = take::<(u32, OwnedObjectPath)>(&unit, "Job");
        let invocation = take::<Vec<u8>>(&unit, "InvocationID").unwrap_or_default();
        Ok(State {
            load: text(&unit, "LoadState"),
            active: text(&unit, "ActiveState"),
            sub: text(&unit, "SubState"),
            result: text(&service, "Result"),
            invocation: invocation.iter().map(|byte| format!("{byte:02x}")).collect(),
            started_at: started_at.unwrap_or_default() / 1000,
            has_job: job.is_some_and(|(id, _)| id != 0),
        })
    }

    /// Whether systemd itself said no. Who may restart a unit and not reset it can repair one that
    /// is not at its start limit all the same.
    fn is_answer(self, error: &zbus::Error) -> bool {
        matches!(self.trouble(error, true), Trouble::Refused(_) | Trouble::Failed(_))
    }

    /// What an error says. `was_asked_to_act` is whether something may have been done.
    fn trouble(self, error: &zbus::Error, was_asked_to_act: bool) -> Trouble {
        let text = redact::message(&format!("unit {}: {error}", self.unit));
        match error {
            zbus::Error::MethodError(name, ..)
                if *name == "org.freedesktop.systemd1.NoSuchUnit" =>
            {
                Trouble::Absent(format!("unit {} is not loaded", self.unit))
            }
            zbus::Error::MethodError(..) if was_asked_to_act => Trouble::Failed(text),
            zbus::Error::FDO(error) => match **error {
                fdo::Error::NoReply(_)
                | fdo::Error::Timeout(_)
                | fdo::Error::TimedOut(_)
                | fdo::Error::Disconnected(_)
                | fdo::Error::IOError(_)
                | fdo::Error::ZBus(_)
                    if was_asked_to_act =>
                {
                    Trouble::Unknown(text)
                }
                // Access denied, or a password wanted, or nobody there: systemd did nothing.
                fdo::Error::AccessDenied(_)
                | fdo::Error::InteractiveAuthorizationRequired(_)
                | fdo::Error::NameHasNoOwner(_)
                | fdo::Error::ServiceUnknown(_) => Trouble::Refused(text),
                _ if was_asked_to_act => Trouble::Failed(text),
                _ => Trouble::Refused(text),
            },
            _ if was_asked_to_act => Trouble::Unknown(text),
            _ => Trouble::Refused(text),
        }
    }

    fn silence(self, limit: Duration) -> Trouble {
        let seconds = limit.as_secs_f64();
        Trouble::Unknown(format!("unit {}: no answer within {seconds} s", self.unit))
    }
}

fn take<T: TryFrom<OwnedVariant>>(from: &HashMap<String, OwnedVariant>, name: &str) -> Option<T> {
    T::try_from(from.get(name)?.try_clone().ok()?).ok()
}
