//! Pages of a list, walked in both directions, and errors of their arguments.

use serde_json::{Value, json};

use wasteland_tarot::services::maintenance::reload_catalogue;

use crate::support::app::{TestApp, data_of};
use crate::support::fixtures::id;

/// Message, code and argument of an error of an argument.
pub fn error(message: &str, argument: &str) -> Value {
    json!({ "message": message, "code": "BAD_USER_INPUT", "argument": argument })
}

/// Message, code and argument of the single error of a response.
pub async fn refusal(app: &TestApp, viewer: Option<&str>, query: &str) -> Value {
    let response = app.query_as_viewer(viewer.map(id), query).await;
    let errors = response.body["errors"].as_array().expect(query);
    assert_eq!(errors.len(), 1, "{}", response.text);
    let extensions = &errors[0]["extensions"];
    json!({
        "message": errors[0]["message"],
        "code": extensions["code"],
        "argument": extensions["argument"],
    })
}

/// Reloads the catalogue after a test has changed reference data without the server.
pub async fn reload(app: &TestApp) {
    reload_catalogue(&app.app.services, &app.app.database.session())
        .await
        .expect("the catalogue is read");
}

/// Walks a list of the query type from both ends in pages of that size. Its items, by the value of one
/// field, must be the expected ones, and flags and totals exact.
pub async fn assert_walks(
    app: &TestApp,
    viewer: Option<&str>,
    (list, told_by): (&str, &str),
    arguments: &str,
    size: usize,
    expected: &[Value],
) {
    let fetch = async |page: &str| {
        let query = format!(
            "{{ {list}({arguments}, {page}) {{ totalCount edges {{ cursor node {{ {told_by} }} }}
                pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
        );
        data_of(app.query_as_viewer(viewer.map(id), &query).await)[list].take()
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
            let page = fetch(&format!("{count}: {size}{place}")).await;
            let more = expected.len() - seen;
            let here = more.min(size);
            let part =
                if forward { &expected[seen..seen + here] } else { &expected[more - here..more] };
            let context = || format!("{list}({arguments}), {count}: {size}, after {seen}");
            let edges = page["edges"].as_array().expect("edges");
            let found: Vec<Value> =
                edges.iter().map(|edge| edge["node"][told_by].clone()).collect();
            assert_eq!(found, part, "{}", context());
            assert_eq!(page["totalCount"], expected.len(), "{}", context());
            let (is_last, is_first) = (here == more, seen == 0);
            let ends = if forward { (!is_last, !is_first) } else { (!is_first, !is_last) };
            let info = &page["pageInfo"];
            assert_eq!(info["hasNextPage"], ends.0, "{}", context());
            assert_eq!(info["hasPreviousPage"], ends.1, "{}", context());
            let cursors =
                |edge: Option<&Value>| edge.map_or(Value::Null, |edge| edge["cursor"].clone());
            assert_eq!(info["startCursor"], cursors(edges.first()), "{}", context());
            assert_eq!(info["endCursor"], cursors(edges.last()), "{}", context());
            assert_eq!(info[near].is_null(), here == 0, "{}", context());
            seen += here;
            if is_last {
                break;
            }
            next = Some(info[far].as_str().expect("a cursor").to_owned());
        }
        assert_eq!(seen, expected.len());
    }
}
