//! Kind `command`: runs a program of the operator's list, without a shell.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use mcpmon_bootstrap::Settings;
use mcpmon_metrics::redact;
use rustix::fs::{Access, access};

use super::{Action, Condition, Keys, Order, Sight, Trouble, process};

/// The key of the operator's list.
const ALLOWED: &str = "remediation.allowed_commands";

#[derive(Debug)]
struct Command {
    program: PathBuf,
    arguments: Vec<String>,
}

pub(super) fn read(keys: &mut Keys<'_>) -> Option<Box<dyn Action>> {
    let allowed = allowed(keys.settings());
    let program = keys.required(
        "program",
        "The program to run: an absolute path that is in `remediation.allowed_commands`.",
        |text: String| match absolute(&text) {
            false => Err("expected the absolute path of a program, without `..`".to_owned()),
            true if allowed.contains(&text) => Ok(PathBuf::from(text)),
            true => Err(format!("expected one of the programs in {ALLOWED}, {}", shown(&allowed))),
        },
    );
    let arguments =
        keys.checked("arguments", Vec::new(), "Its arguments, always the same.", no_nul);
    Some(Box::new(Command { program: program?, arguments }))
}

/// The programs that may be run at all. The service reads the key too, for a configuration that has
/// no such target.
pub fn allowed(settings: &mut Settings) -> Vec<String> {
    settings.checked(
        ALLOWED,
        Vec::new(),
        "The programs that targets of the kind `command` may run, as absolute paths.",
        |list: Vec<String>| match list.iter().find(|text| !absolute(text)) {
            None => Ok(list),
            Some(text) => Err(format!(
                "{text:?} is in it; expected absolute paths of programs, such as \
                 [\"/usr/local/sbin/heal\"]"
            )),
        },
    )
}

fn absolute(text: &str) -> bool {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    let path = Path::new(text);
    path.is_absolute()
        && path.components().all(plain)
        && path.file_name().is_some()
        && !text.ends_with('/')
        && !text.contains('\0')
}

fn no_nul(arguments: Vec<String>) -> Result<Vec<String>, &'static str> {
    match arguments.iter().any(|text| text.contains('\0')) {
        true => Err("expected texts without NUL bytes"),
        false => Ok(arguments),
    }
}

fn shown(allowed: &[String]) -> String {
    if allowed.is_empty() { "which is empty".to_owned() } else { allowed.join(", ") }
}

#[async_trait]
impl Action for Command {
    fn describe(&self) -> String {
        let mut text = format!("run {}", self.program.display());
        for argument in &self.arguments {
            text.push(' ');
            text.push_str(argument);
        }
        redact::message(&text)
    }

    fn names(&self) -> Vec<String> {
        let name = self.program.file_name().map(|name| name.to_string_lossy().into_owned());
        [self.program.display().to_string()].into_iter().chain(name).collect()
    }

    async fn look(&self, _: Duration) -> Result<Sight, Trouble> {
        let program = self.program.display();
        access(&self.program, Access::EXEC_OK)
            .map_err(|error| Trouble::Absent(format!("{program}: {error}")))?;
        if !self.program.is_file() {
            return Err(Trouble::Absent(format!("{program} is no file")));
        }
        Ok(Sight { run: None, condition: Condition::Ours })
    }

    async fn act(&self, order: &Order, deadline: Duration) -> Result<(), Trouble> {
        let fencing = order.fencing.to_string();
        let environment = [
            ("MCPMON_COMPONENT", order.component.as_str()),
            ("MCPMON_INCIDENT", &order.incident),
            ("MCPMON_ATTEMPT", &order.attempt),
            ("MCPMON_FENCING_TOKEN", &fencing),
        ];
        let ended = process::run(&self.program, &self.arguments, &environment, deadline).await?;
        if ended.status.success() { Ok(()) } else { Err(Trouble::Failed(ended.words())) }
    }
}
