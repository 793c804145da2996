//! Calls that ask the client before they answer, since 2026-07-28: the result says what is asked,
//! and the client calls again with the answers, and with the state that the result had.

use rmcp::ErrorData;
use rmcp::model::{InputRequiredResult, InputResponses};
use serde_json::{Map, Value, json};

use crate::house::House;
use crate::typed;

/// What is asked at the same time, by key.
pub(crate) type Round = Vec<(&'static str, Value)>;

#[derive(Debug)]
pub(crate) enum Reply {
    Ask(InputRequiredResult),
    /// All rounds are over; these are the answers of the last.
    Done(Value),
}

/// A form of one field.
pub(crate) fn elicit(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({
        "type": "object",
        "properties": { field: { "type": kind } },
        "required": [field],
    });
    json!({
        "method": "elicitation/create",
        "params": { "mode": "form", "message": message, "requestedSchema": schema },
    })
}

pub(crate) fn sample(prompt: &str) -> Value {
    json!({
        "method": "sampling/createMessage",
        "params": {
            "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }],
            "maxTokens": 100,
        },
    })
}

pub(crate) fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// What comes next in a call that has these rounds. With `keeps_state` an answer counts only with
/// the state that its question had.
pub(crate) fn next(
    house: &House,
    rounds: &[Round],
    keeps_state: bool,
    state: Option<&str>,
    answers: Option<&InputResponses>,
) -> Result<Reply, ErrorData> {
    let now = match state {
        Some(state) => house
            .recall(state)
            .filter(|round| *round < rounds.len())
            .ok_or_else(|| ErrorData::invalid_params("requestState is not one of ours", None))?,
        None => 0,
    };
    let answered = rounds[now].iter().all(|(key, question)| {
        answers.and_then(|all| all.get(*key)).is_some_and(|answer| is_answer(question, answer))
    });
    let next = if answered && (state.is_some() || !keeps_state) { now + 1 } else { now };
    let Some(questions) = rounds.get(next) else {
        return Ok(Reply::Done(answers.map_or(Value::Null, |all| json!(all))));
    };
    let questions: Map<_, _> =
        questions.iter().map(|(key, question)| ((*key).to_owned(), question.clone())).collect();
    let state = keeps_state.then(|| house.remember(next));
    Ok(Reply::Ask(InputRequiredResult::new(Some(typed(questions.into())?), state)))
}

/// Whether that can be an answer to that question.
fn is_answer(question: &Value, answer: &Value) -> bool {
    match question["method"].as_str() {
        Some("elicitation/create") => match answer["action"].as_str() {
            Some("accept") => {
                question["params"]["requestedSchema"]["required"].as_array().is_none_or(|names| {
                    names
                        .iter()
                        .filter_map(Value::as_str)
                        .all(|name| answer["content"].get(name).is_some())
                })
            }
            Some("decline" | "cancel") => true,
            _ => false,
        },
        Some("sampling/createMessage") => answer["content"].is_object(),
        _ => answer["roots"].is_array(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_fits_its_question() {
        let question = elicit("Who?", "name", "string");
        let accepted = |content| json!({ "action": "accept", "content": content });
        assert!(is_answer(&question, &accepted(json!({ "name": "Ada", "more": 1 }))));
        assert!(is_answer(&question, &json!({ "action": "decline" })));
        assert!(!is_answer(&question, &accepted(json!({ "nom": "Ada" }))));
        assert!(!is_answer(&question, &json!(12345)));
        assert!(!is_answer(&sample("Who?"), &json!({ "content": "Ada" })));
        assert!(!is_answer(&roots(), &json!({})));
    }

    #[test]
    fn a_state_that_was_not_given_out_is_refused() {
        let house = House::new();
        let rounds = [vec![("who", elicit("Who?", "name", "string"))]];
        let answers = InputResponses::from([("who".to_owned(), json!({ "action": "cancel" }))]);
        let next = |state: Option<&str>| next(&house, &rounds, true, state, Some(&answers));

        let Ok(Reply::Ask(asked)) = next(None) else { panic!("an answer without state counted") };
        let state = asked.request_state.expect("the call keeps state");
        assert!(matches!(next(Some(&state)), Ok(Reply::Done(_))));
        assert!(next(Some(&format!("{state}-TAMPERED"))).is_err());
    }
}
