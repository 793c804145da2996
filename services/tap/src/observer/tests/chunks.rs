//! Properties: no input breaks the observer, and how it is cut into chunks does not matter.

use proptest::prelude::*;

use super::*;

/// Lines that mean something, something else, or nothing.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let id = prop_oneof![Just("1"), Just("2"), Just("\"1\""), Just("null"), Just("1.5")];
    let method = prop_oneof![
        Just("tools/call"),
        Just("tools/list"),
        Just("ping"),
        Just("tasks/get"),
        Just("notifications/cancelled"),
        Just("unheard/of"),
    ];
    let params = prop_oneof![
        Just(r#"{"name":"a"}"#),
        Just(
            r#"{"name":"a","inputResponses":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#
        ),
        Just(r#"{"taskId":"t","requestId":1,"cursor":"c"}"#),
        Just("[]"),
        Just("7"),
    ];
    let result = prop_oneof![
        Just(r#"{"isError":true,"content":[{"text":"é\ud800"}]}"#),
        Just(r#"{"resultType":"input_required"}"#),
        Just(r#"{"task":{"taskId":"t"}}"#),
        Just(r#"{"taskId":"t","status":"completed"}"#),
        Just(r#"{"tools":[{"name":"a"},1],"nextCursor":"c"}"#),
        Just("null"),
    ];
    let request = (id.clone(), method, params).prop_map(|(id, method, params)| {
        format!(r#"{{"id":{id},"method":"{method}","params":{params}}}"#).into_bytes()
    });
    let reply = (id.clone(), result)
        .prop_map(|(id, result)| format!(r#"{{"result":{result},"id":{id}}}"#).into_bytes());
    let error = id.prop_map(|id| {
        format!(r#"{{"id":{id},"error":{{"code":-32602,"message":"m"}}}}"#).into_bytes()
    });
    let noise = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![4 => request, 4 => reply, 1 => error, 1 => noise]
}

type Lines = Vec<(bool, Vec<u8>)>;

fn lines() -> impl Strategy<Value = Lines> {
    prop::collection::vec((any::<bool>(), line()), 0..40)
}

fn direction(to_server: bool) -> Direction {
    if to_server { Direction::ToServer } else { Direction::ToClient }
}

/// What comes of the lines when each is fed in pieces of the given sizes.
fn observe(lines: &Lines, sizes: &[usize]) -> (Vec<Value>, Stats) {
    let mut talk = Talk::new();
    let mut sizes = sizes.iter().copied().cycle();
    for (to_server, line) in lines {
        let mut line = line.clone();
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            let size = sizes.next().unwrap_or(rest.len()).clamp(1, rest.len());
            talk.observer.bytes(ID, direction(*to_server), talk.now, &rest[..size]);
            rest = &rest[size..];
        }
        talk.wait(1);
    }
    talk.close(Direction::ToServer).close(Direction::ToClient);
    (talk.events(), talk.stats())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_do_not_depend_on_chunks(
        lines in lines(),
        sizes in prop::collection::vec(1_usize..64, 1..20),
    ) {
        prop_assert_eq!(observe(&lines, &sizes), observe(&lines, &[usize::MAX]));
    }

    #[test]
    fn a_call_is_told_at_most_once(lines in lines()) {
        let asked = lines.iter().filter(|(to_server, line)| {
            // Noise may hold newlines, but no request.
            *to_server && line.windows(12).any(|w| w == b"\"tools/call\"")
        });
        let asked = asked.count();
        let (events, _) = observe(&lines, &[usize::MAX]);
        let told = events.iter().filter(|event| event["type"] == "tool_call").count();
        prop_assert!(told <= asked, "{told} of {asked}");
    }

    #[test]
    fn any_bytes_and_gaps_are_survived(
        chunks in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..200)),
            0..30,
        ),
    ) {
        let mut talk = Talk::new();
        for (to_server, gap, chunk) in &chunks {
            if *gap {
                talk.observer.gap(ID, direction(*to_server));
            }
            talk.observer.bytes(ID, direction(*to_server), talk.now, chunk);
        }
        talk.close(Direction::ToServer).close(Direction::ToClient);
        prop_assert!(talk.observer.connections.is_empty());
        prop_assert!(talk.observer.pending.is_empty());
    }
}
