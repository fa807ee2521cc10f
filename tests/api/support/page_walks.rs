//! Walks through a list in both directions, and what goes wrong on the way.

use serde_json::{Value, json};

use wasteland_tarot::services::maintenance::reload_catalogue;

use crate::support::app::{TestApp, data_of};
use crate::support::fixtures::id;

/// The message, the code and the argument of an error of an argument.
pub fn error(message: &str, argument: &str) -> Value {
    json!({ "message": message, "code": "BAD_USER_INPUT", "argument": argument })
}

/// The message, the code and the argument of the one error of an answer.
pub async fn refusal(app: &TestApp, viewer: Option<&str>, query: &str) -> Value {
    let answered = app.ask_as_viewer(viewer.map(id), query).await;
    let errors = answered.body["errors"].as_array().expect(query);
    assert_eq!(errors.len(), 1, "{}", answered.text);
    let extensions = &errors[0]["extensions"];
    json!({
        "message": errors[0]["message"],
        "code": extensions["code"],
        "argument": extensions["argument"],
    })
}

/// Reads the reference data anew that a test has changed past the server.
pub async fn reload(app: &TestApp) {
    reload_catalogue(&app.app.services, &app.app.database.session())
        .await
        .expect("the catalogue is read");
}

/// Walks a list of the query type from both ends, in pages of that size, and holds that its items,
/// told by a field, are the expected ones, and the flags and the totals exact.
pub async fn assert_walks(
    app: &TestApp,
    viewer: Option<&str>,
    (list, told_by): (&str, &str),
    arguments: &str,
    size: usize,
    expected: &[Value],
) {
    let ask = async |page: &str| {
        let query = format!(
            "{{ {list}({arguments}, {page}) {{ totalCount edges {{ cursor node {{ {told_by} }} }}
                pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        data_of(app.ask_as_viewer(viewer.map(id), &query).await)[list].take()
    };
    for (count, cursor, near, far) in [
        ("first", "after", "startCursor", "endCursor"),
        ("last", "before", "endCursor", "startCursor"),
    ] {
        let forward = count == "first";
        let mut next = None;
        let mut seen = 0;
        loop {
            let place =
                next.map(|next: String| format!(", {cursor}: {next:?}")).unwrap_or_default();
            let page = ask(&format!("{count}: {size}{place}")).await;
            let more = expected.len() - seen;
            let here = more.min(size);
            let part =
                if forward { &expected[seen..seen + here] } else { &expected[more - here..more] };
            let told = || format!("{list}({arguments}), {count}: {size}, after {seen}");
            let edges = page["edges"].as_array().expect("edges");
            let found: Vec<Value> =
                edges.iter().map(|edge| edge["node"][told_by].clone()).collect();
            assert_eq!(found, part, "{}", told());
            assert_eq!(page["totalCount"], expected.len(), "{}", told());
            let (is_last, is_first) = (here == more, seen == 0);
            let ends = if forward { (!is_last, !is_first) } else { (!is_first, !is_last) };
            let info = &page["pageInfo"];
            assert_eq!(info["hasNextPage"], ends.0, "{}", told());
            assert_eq!(info["hasPreviousPage"], ends.1, "{}", told());
            let cursors =
                |edge: Option<&Value>| edge.map_or(Value::Null, |edge| edge["cursor"].clone());
            assert_eq!(info["startCursor"], cursors(edges.first()), "{}", told());
            assert_eq!(info["endCursor"], cursors(edges.last()), "{}", told());
            assert_eq!(info[near].is_null(), here == 0, "{}", told());
            seen += here;
            if is_last {
                break;
            }
            next = Some(info[far].as_str().expect("a cursor").to_owned());
        }
        assert_eq!(seen, expected.len());
    }
}
