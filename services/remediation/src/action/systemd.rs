//! Kind `systemd`: restarts a service of this machine's systemd over D-Bus, or with `systemctl`
//! where there is no system bus.

mod bus;
mod state;
mod systemctl;

use std::env;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::{Action, Keys, Order, Sight, Trouble, own_time};
use bus::Bus;

/// Where the system bus listens when nobody says otherwise.
const SYSTEM_BUS: [&str; 2] = ["/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"];
const EXPECTED: &str = "expected the full name of one service unit, such as devskyy-mcp.service";
/// The longest name that systemd takes.
const LONGEST_NAME: usize = 255;

#[derive(Debug)]
struct Unit {
    name: String,
    address: Option<String>,
    act_on_stopped: bool,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Action>> {
    let name = keys.required("unit", "The service unit's full name.", unit_name);
    let address = keys.optional_checked(
        "address",
        "The D-Bus address of the systemd that has it; unset: this machine's system bus.",
        |text: String| match text.parse::<zbus::Address>() {
            Ok(_) => Ok(text),
            Err(_) => Err("expected a D-Bus address, such as \
                           unix:path=/run/dbus/system_bus_socket"),
        },
    );
    let act_on_stopped = super::act_on_stopped(keys);
    Some(Box::new(Unit { name: name?, address, act_on_stopped }))
}

fn unit_name(text: String) -> Result<String, String> {
    let Some(stem) = text.strip_suffix(".service") else { return Err(EXPECTED.to_owned()) };
    let plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    let well_made = !stem.is_empty() && stem.chars().all(plain) && text.len() <= LONGEST_NAME;
    if !well_made || text.contains("..") || text.starts_with(['-', '.', '@']) {
        return Err(EXPECTED.to_owned());
    }
    if stem.ends_with('@') {
        let problem = "is a template; expected one of its instances, such as";
        return Err(format!("{problem} {stem}1.service"));
    }
    Ok(text)
}

impl Unit {
    /// `None` where there is no system bus, and only there.
    fn bus(&self) -> Option<Bus<'_>> {
        let is_there = self.address.is_some()
            || env::var_os("DBUS_SYSTEM_BUS_ADDRESS").is_some()
            || SYSTEM_BUS.iter().any(|path| Path::new(path).exists());
        is_there.then(|| Bus { unit: &self.name, address: self.address.as_deref() })
    }
}

#[async_trait]
impl Action for Unit {
    fn describe(&self) -> String {
        format!("restart unit {}", self.name)
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    async fn look(&self, deadline: Duration) -> Result<Sight, Trouble> {
        let limit = own_time(deadline);
        let state = match self.bus() {
            Some(bus) => bus.state(limit).await?,
            None => systemctl::state(&self.name, limit).await?,
        };
        state.sight(&self.name, self.act_on_stopped)
    }

    async fn act(&self, _: &Order, deadline: Duration) -> Result<(), Trouble> {
        let limit = own_time(deadline);
        match self.bus() {
            Some(bus) => bus.restart(limit).await,
            None => systemctl::restart(&self.name, limit).await,
        }
    }
}
