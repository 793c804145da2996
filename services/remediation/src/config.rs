//! What remediation is told: keys, defaults and rules.

use std::path::PathBuf;
use std::time::Duration;

use mcpmon_bootstrap::Settings;
use mcpmon_bootstrap::http::{Listen, Scope, client};
use mcpmon_coordination::Coordination;
use reqwest::Url;
use secrecy::SecretString;

use crate::policy::Policy;

const SCOPES: &[Scope] = &[Scope::Read, Scope::Webhook, Scope::Operate];

/// Everything that remediation needs to know.
#[derive(Debug)]
pub struct Config {
    pub listen: Listen,
    pub coordination: Coordination,
    pub monitor: MonitorConfig,
    /// The folder of the audit and the locks.
    pub shared_dir: PathBuf,
    pub lease: Duration,
    pub shutdown_grace: Duration,
    pub policy: Policy,
}

/// Where the health monitor is.
#[derive(Debug, Clone)]
pub struct MonitorConfig {
    pub url: Url,
    pub token: Option<SecretString>,
}

impl Config {
    /// [`Config::read`] for a service of its own, which must not mistake itself for the only one.
    pub fn of_service(settings: &mut Settings) -> Self {
        let config = Self::read(settings);
        let coordination = &config.coordination;
        if coordination.redis.is_none() && !coordination.memory_is_meant {
            settings.reject(
                "coordination.url",
                "is not set; set it, or say coordination.backend = \"memory\" if this is the only \
                 replica: two that know nothing of each other would both act",
            );
        }
        config
    }

    /// Reads every key. What is wrong is noted in `settings`, whose `finish` tells.
    pub fn read(settings: &mut Settings) -> Self {
        let s = settings;
        // Where the exporter finds remediation: in a file that both read.
        for key in ["url", "token", "token_file"] {
            s.foreign(&format!("remediation.{key}"));
        }
        let listen = Listen::from_settings(s, "remediation", 9096, SCOPES);
        let coordination = Coordination::read(s);
        let monitor = MonitorConfig::read(s);
        let shared_dir: Option<PathBuf> = s.optional(
            "remediation.shared_dir",
            "Folder for the audit and for the locks that exclude a second actor on this machine; by \
             default `remediation-shared` in `coordination.state_dir`. Replicas on one machine share it.",
        );
        let lease = s.seconds(
            "remediation.lease_seconds",
            Duration::from_secs(15),
            Duration::from_millis(100)..=Duration::from_secs(300),
            "How long a replica that died is waited for before another one acts.",
        );
        let shutdown_grace = s.seconds(
            "remediation.shutdown_grace_seconds",
            Duration::from_secs(10),
            Duration::ZERO..=Duration::from_secs(600),
            "How long an action and requests may take to end at shutdown; what is left of an action \
             then is brought to its end by the next replica.",
        );
        let mut protected = vec![listen.address.to_string()];
        protected.extend(authority(&monitor.url));
        let policy = Policy::read(s, &protected);
        Self {
            shared_dir: shared_dir
                .unwrap_or_else(|| coordination.state_dir.join("remediation-shared")),
            listen,
            coordination,
            monitor,
            lease,
            shutdown_grace,
            policy,
        }
    }

    /// Reads every key of every kind, for the reference.
    pub fn document(settings: &mut Settings) {
        Self::read(settings);
        Policy::document(settings);
    }
}

impl MonitorConfig {
    fn read(settings: &mut Settings) -> Self {
        let key = "remediation.monitor.url";
        // A check's complaint shows the value, which must not happen once that holds a password.
        let url: Option<Url> = settings.checked(
            key,
            "http://127.0.0.1:9095".to_owned(),
            "Where the health monitor is, which checks a component before and after an action.",
            |text: String| match client::may_hold_password(&text) {
                true => Ok(None),
                false => client::web_url(&text).map(Some),
            },
        );
        let url = url.unwrap_or_else(|| {
            settings.reject(key, "holds a user or a password; the token has its own key");
            Url::parse("http://127.0.0.1").expect("it is one")
        });
        let token = settings.secret(
            "remediation.monitor.token",
            "The token of the health monitor's scope `operate`.",
        );
        Self { url, token }
    }
}

/// Host and port of a URL.
fn authority(url: &Url) -> Option<String> {
    Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests;
