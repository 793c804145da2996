//! Tools whose calls become tasks when the client knows the extension (SEP-2663).

use std::time::Duration;

use rmcp::ErrorData;
use rmcp::model::{CallToolResponse, ClientCapabilities, CreateTaskResult, InputRequest};
use rmcp::task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{Call, said};
use crate::rounds::{self, Reply, elicit};
use crate::{samples, typed};

pub(super) const NAMES: &[&str] = &[
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

/// How often a client may ask how far a task is.
const POLL_MILLIS: u64 = 100;

pub(super) async fn call(name: &str, call: &Call<'_>) -> Result<CallToolResponse, ErrorData> {
    let knows_tasks = call.capabilities().supports_tasks();
    match name {
        "greet" => {
            let name = call.argument("name").as_str().unwrap_or("stranger");
            said(&format!("Hello, {name}!")).map(Into::into)
        }
        "slow_compute" => {
            let seconds = call.argument("seconds").as_f64().unwrap_or(0.0).clamp(0.0, 60.0);
            let time = Duration::from_secs_f64(seconds);
            if knows_tasks {
                return Ok(call.task(move |task| Box::pin(compute(task, time))));
            }
            sleep(time).await;
            said("Computed.").map(Into::into)
        }
        // The others cannot be done while the client waits.
        _ if !knows_tasks => Err(ErrorData::missing_required_client_capability(
            ClientCapabilities::builder().enable_tasks().build(),
        )),
        "failing_job" => Ok(call.task(|_| Box::pin(fail()))),
        "protocol_error_job" => {
            let error = ErrorData::internal_error("This job breaks the protocol", None);
            Ok(call.task(|_| Box::pin(async { Err(TaskExit::Error(error)) })))
        }
        "confirm_delete" => Ok(call.task(|task| Box::pin(confirm(task)))),
        "multi_input" => Ok(call.task(|task| Box::pin(ask_twice(task)))),
        _ => {
            let question = elicit("What is your name?", "name", "string");
            let state = call.request.request_state.as_deref();
            let answers = call.request.input_responses.as_ref();
            match rounds::next(call.house, &[vec![("user_name", question)]], true, state, answers)?
            {
                Reply::Ask(question) => Ok(question.into()),
                Reply::Done(answers) => {
                    let text = format!("Done for {answers}");
                    Ok(call.task(move |_| Box::pin(async move { Ok(said(&text)?) })))
                }
            }
        }
    }
}

impl Call<'_> {
    fn task(&self, work: impl FnOnce(TaskContext) -> TaskFuture) -> CallToolResponse {
        let options = TaskOptions::new().with_poll_interval_ms(POLL_MILLIS);
        CreateTaskResult::new(self.house.tasks.spawn(options, work)).into()
    }
}

type Done = Result<rmcp::model::CallToolResult, TaskExit>;

async fn compute(task: TaskContext, time: Duration) -> Done {
    tokio::select! {
        () = sleep(time) => Ok(said("Computed.")?),
        () = task.cancelled() => Err(TaskExit::Cancelled),
    }
}

/// The tool's own failure, which is a completed task.
async fn fail() -> Done {
    sleep(Duration::from_secs(1)).await;
    Ok(typed(json!({
        "resultType": "complete",
        "isError": true,
        "content": [samples::text("This job always fails")],
    }))?)
}

async fn confirm(task: TaskContext) -> Done {
    let answer = task.request_input("confirm", question("Delete it?", "ok", "boolean")?).await?;
    Ok(said(&format!("Answered: {answer}"))?)
}

async fn ask_twice(task: TaskContext) -> Done {
    let (name, color) =
        (question("Name?", "name", "string")?, question("Color?", "color", "string")?);
    let (name, color): (Value, Value) =
        tokio::try_join!(task.request_input("name", name), task.request_input("color", color))?;
    Ok(said(&format!("Answered: {name}, {color}"))?)
}

fn question(message: &str, field: &str, kind: &str) -> Result<InputRequest, ErrorData> {
    typed(elicit(message, field, kind))
}
