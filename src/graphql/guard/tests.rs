//! Claims of the guard, the hostile ones on a thread with the stack of a tokio worker. Each limit
//! is tried at its maximum and one above; what is refused is compared whole.

use std::fmt::Write as _;
use std::fs;

use async_graphql::parser::types::OperationType;
use async_graphql::{Pos, Value, Variables};
use proptest::prelude::{any, prop, prop_assert, proptest};

use super::{
    Bound, CheckedDocument, CostTable, CostTableError, ListBound, MeasuredDocument, Refusal,
    Surcharge, When, scan_document, scan_json,
};
use crate::config::limits::{
    DocumentLimits, FREE_RESPONSE_BYTES, MESSAGE_CHARACTERS, RESPONSE_BYTES_PER_POINT, VALUE_BYTES,
};

/// Steps for each byte that no document may exceed, comparisons of fields apart: those have a limit
/// of their own.
const WORK_PER_BYTE: u64 = 4;

const SCHEMA: &str = r#"
    """The root."""
    type Query {
      node(id: ID!): Node
      nodes(ids: [ID!]!): [Node]!
      viewer: User
      suits: [Suit!]!
      people(first: Int, after: String, last: Int, before: String): UserConnection!
      popular(limit: Int! = 5): [Suit!]!
      found: Found
    }
    type Mutation { rename(name: String!): RenamePayload }
    type RenamePayload { viewer: User edge: UserEdge userErrors: [UserError!]! }
    type UserError { message: String! }
    type Subscription { renamed: User! }
    interface Node { id: ID! }
    union Found = User | Suit
    type User implements Node {
      id: ID! name(locale: String! = "EN"): String! tags: [String!]!
      friends(first: Int, last: Int): UserConnection! best: User
    }
    type Suit implements Node { id: ID! name: String! rulers(ids: [ID!]): [User!]! }
    type UserEdge { cursor: String! node: User! }
    type UserConnection { edges: [UserEdge!]! nodes: [User!]! pageInfo: PageInfo! totalCount: Int }
    type PageInfo { hasNextPage: Boolean! }
    schema { query: Query mutation: Mutation subscription: Subscription }
"#;

const BOUNDS: &[ListBound<'_>] = &[
    bound("Query", "nodes", Bound::Length { argument: "ids", maximum: 100 }),
    bound("Query", "suits", Bound::Items(5)),
    bound("Query", "popular", Bound::Argument { argument: "limit", maximum: 20 }),
    bound("Suit", "rulers", Bound::Length { argument: "ids", maximum: 100 }),
    bound("*", "userErrors", Bound::Items(10)),
];

const fn bound<'a>(type_name: &'a str, field: &'a str, bound: Bound) -> ListBound<'a> {
    ListBound { type_name, field, bound }
}

fn limits() -> DocumentLimits {
    DocumentLimits::default()
}

/// Checks on a stack as small as a tokio worker's: an overflow ends the test binary.
fn check(text: &str) -> Result<CheckedDocument, Refusal> {
    on_worker_stack(|| {
        MeasuredDocument::measure(text, &limits()).map(MeasuredDocument::unvalidated)
    })
}

fn on_worker_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
        worker
            .spawn_scoped(scope, run)
            .expect("thread starts")
            .join()
            .expect("check does not panic")
    })
}

#[track_caller]
fn accepted(text: &str) -> CheckedDocument {
    let document = check(text).unwrap_or_else(|refusal| panic!("refused: {refusal:?}"));
    let bytes = text.len() as u64;
    let most = bytes * WORK_PER_BYTE + limits().field_merges as u64;
    assert!(document.work() <= most, "{} steps for {bytes} bytes", document.work());
    document
}

#[track_caller]
fn refused(text: &str) -> Refusal {
    let refusal = check(text).err().unwrap_or_else(|| panic!("accepted: {text:.200}"));
    assert_small(&refusal);
    refusal
}

#[track_caller]
fn assert_small(refusal: &Refusal) {
    let message = refusal.to_string();
    assert!(message.chars().count() <= MESSAGE_CHARACTERS, "{message}");
    assert!(message.starts_with(|first: char| !first.is_uppercase()), "{message}");
    assert!(!message.contains(char::is_control), "{message:?}");
}

/// Too large, and in what; the place is left to the tests that are about places.
#[track_caller]
fn assert_too_large(refusal: &Refusal, wanted: &'static str, maximum: u64) {
    assert_small(refusal);
    assert_eq!(refusal.code().as_str(), "QUERY_TOO_LARGE");
    let details = vec![("what", Value::from(wanted)), ("maximum", Value::from(maximum))];
    assert_eq!(refusal.details(), details, "{refusal}");
}

#[track_caller]
fn assert_parse_failed(text: &str) -> Refusal {
    let refusal = refused(text);
    assert_eq!(
        (refusal.code().as_str(), refusal.details()),
        ("GRAPHQL_PARSE_FAILED", vec![]),
        "{text:.100}"
    );
    refusal
}

fn nested(
    before: &str,
    open: &str,
    middle: &str,
    close: &str,
    after: &str,
    times: usize,
) -> String {
    format!("{before}{}{middle}{}{after}", open.repeat(times), close.repeat(times))
}

/// Writes a document with so many of something.
type Written = fn(usize) -> String;

fn many(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect()
}

fn fields(count: usize) -> String {
    many(count, |index| format!("f{index} "))
}

/// The same bracket nesting in each construct that nests: the numbers of brackets around it are in
/// the first column.
fn nestings(depth: usize) -> [String; 6] {
    [
        nested("", "{edges", "{id}", "}", "", depth - 1),
        nested("{a(x:", "[", "1", "]", ")}", depth - 2),
        nested("{a(x:", "{x:", "1", "}", ")}", depth - 2),
        nested("query($x:", "[", "Int", "]", "){a}", depth - 1),
        nested("", "{...", "{id}", "}", "", depth - 1),
        nested("query($x:[Int]=", "[", "1", "]", "){a}", depth - 1),
    ]
}

#[test]
fn nesting_of_10_and_of_32_is_accepted_in_every_construct() {
    for depth in [10, 32] {
        for text in nestings(depth) {
            accepted(&text);
            assert_eq!(scan_document(&text, &limits()).expect("within limits").nesting, depth);
        }
    }
}

#[test]
fn nesting_of_33_and_more_is_refused_in_every_construct() {
    for depth in [33, 100, 2_000] {
        for text in nestings(depth) {
            assert_too_large(&refused(&text), "nesting", 32);
        }
    }
}

#[test]
fn nesting_of_100_000_is_refused_in_every_construct() {
    for text in nestings(100_000) {
        assert_too_large(&refused(&text), "document bytes", 16_384);
        let any_length = DocumentLimits { document_bytes: usize::MAX, ..limits() };
        let refusal = on_worker_stack(|| scan_document(&text, &any_length)).expect_err("nested");
        assert_too_large(&refusal, "nesting", 32);
        let unclosed = text.trim_end_matches(['}', ']', ')']);
        let refusal = on_worker_stack(|| scan_document(unclosed, &any_length)).expect_err("nested");
        assert_too_large(&refusal, "nesting", 32);
    }
}

#[test]
fn nesting_is_refused_where_it_exceeds_the_limit() {
    let text = nested("{\r\n é: a(x:", "[", "", "]", ")}", 31);
    let refusal = refused(&text.replace('é', "\"é\""));
    let at = Some(Pos { line: 2, column: 41 });
    let too_large = Refusal::TooLarge { what: "nesting", found: 33, maximum: 32, at };
    assert_eq!(refusal, too_large);
    assert_eq!(refusal.to_string(), "request is too large (nesting: at least 33, maximum: 32)");
}

#[test]
fn brackets_in_strings_and_comments_do_not_nest() {
    let brackets = "([{".repeat(100);
    accepted(&format!("{{a(x:\"{brackets}\\\"{brackets}\")}}"));
    accepted(&format!("{{a(x:\"\"\"{brackets}\n\\\"\"\"{brackets}\"\"\")}}"));
    accepted(&format!("{{#{brackets}\"\n a #{brackets}\"\"\"\r b}}"));
    accepted("{a(x:\"\")b(x:\"\"\"\"\"\")c(x:\"#\")}");
    accepted(r#"{a(x:"""one " two "" three \""" four \\ """)}"#);
}

#[test]
fn json_nesting_is_bounded_outside_strings() {
    let body = |depth: usize| nested("", "{\"a\":[", "1", "]}", "", depth / 2);
    assert_eq!(scan_json(body(32).as_bytes(), &limits()), Ok(32));
    for depth in [34, 2_000, 200_000] {
        let refusal = scan_json(body(depth).as_bytes(), &limits()).expect_err("nested");
        assert_too_large(&refusal, "variables nesting", 32);
    }
    let quoted = format!("{{\"query\":\"{}\\\"{}\",\"a\":{{}}}}", "{".repeat(99), "[".repeat(99));
    assert_eq!(scan_json(quoted.as_bytes(), &limits()), Ok(2));
    assert_eq!(scan_json(b"\"\\\\\"[[", &limits()), Ok(2));
    for broken in [&b"\"\\"[..], b"\"[[", b"]]]]", b"", b"\xFF\xFE[", b"\\\"["] {
        assert!(scan_json(broken, &limits()).is_ok());
    }
}

#[test]
fn fragments_that_spread_the_next_twice_are_refused() {
    assert_too_large(&refused(&fragment_bomb(40)), "selections", 2_000);
    // A hundred of them nest too deeply besides, whichever is met first.
    assert_too_large(&refused(&fragment_bomb(100)), "nesting with fragments expanded", 48);
    let unused = fragment_bomb(40).replace("{...F0}", "{a}");
    assert_too_large(&refused(&unused), "selections", 2_000);
}

#[test]
fn fragments_that_spread_the_next_twice_are_measured_in_linear_work() {
    let most = usize::MAX;
    let limits = DocumentLimits {
        selections: most,
        root_fields: most,
        expanded_nesting: most,
        field_merges: most,
        ..limits()
    };
    for length in [10, 50, 100] {
        let text = fragment_bomb(length);
        let document = MeasuredDocument::measure(&text, &limits)
            .map(MeasuredDocument::unvalidated)
            .expect("no limit is left");
        let operation = document.operation(None).expect("one operation");
        let cost = operation.cost(&table(), &Variables::default(), &limits);
        // Comparing fields follows each fragment once from each set: quadratic in the fragments,
        // hence its own limit.
        let merges = (length * length * 2) as u64;
        assert!(document.work() + cost.work <= text.len() as u64 * WORK_PER_BYTE + merges);
        let objects = 1_u64.checked_shl(u32::try_from(length).expect("small")).unwrap_or(u64::MAX);
        // And the bytes of their response.
        assert!((objects..=objects.saturating_mul(2)).contains(&cost.points), "{cost:?}");
    }
}

/// Fragments on `User`, each with the next one twice; the last has one object.
fn fragment_bomb(length: usize) -> String {
    let mut text = "{...F0}".to_owned();
    for index in 0..length - 1 {
        let next = index + 1;
        write!(text, "fragment F{index} on Query{{...F{next} ...F{next}}}").expect("writes");
    }
    write!(text, "fragment F{} on Query{{viewer{{id}} v:viewer{{id}}}}", length - 1)
        .expect("writes");
    text
}

#[test]
fn fragment_cycles_are_refused() {
    for length in [1, 2, 40, 50, 100] {
        let mut text = "{...F0}".to_owned();
        for index in 0..length {
            write!(text, "fragment F{index} on Query{{...F{}}}", (index + 1) % length)
                .expect("writes");
        }
        let refusal = refused(&text);
        if length < 48 {
            assert_eq!(refusal.code().as_str(), "GRAPHQL_VALIDATION_FAILED");
            assert_eq!(refusal.to_string(), "fragment F0 spreads itself");
        } else {
            assert_too_large(&refusal, "nesting with fragments expanded", 48);
        }
        let unused = text.replace("{...F0}f", "{a}f");
        assert_eq!(refused(&unused).code(), refusal.code());
    }
}

#[test]
fn chained_fragments_nest_no_deeper_than_the_limit() {
    let chain = |levels: usize| {
        let mut text = format!("{{{}{}", "...{".repeat(9), "...F1}") + &"}".repeat(9);
        for index in 1..levels / 10 {
            let next =
                if index + 1 < levels / 10 { format!("...F{}", index + 1) } else { "a".to_owned() };
            write!(text, "fragment F{index} on Query{}", nested("{", "...{", &next, "}", "}", 9))
                .expect("writes");
        }
        text
    };
    accepted(&chain(40));
    assert_too_large(&refused(&chain(50)), "nesting with fragments expanded", 48);
    assert_too_large(&refused(&chain(500)), "nesting with fragments expanded", 48);
}

#[test]
fn ten_thousand_of_anything_are_refused() {
    let repeated = |before: &str, each: fn(usize) -> String, after: &str| {
        format!("{before}{}{after}", many(10_000, each))
    };
    let documents = [
        repeated("{", |index| format!("a{index}:a "), "}"),
        repeated("{a", |_| "@a".to_owned(), "}"),
        repeated("", |index| format!("query q{index}{{a}}"), ""),
        repeated("query(", |index| format!("$v{index}:Int "), "){a}"),
        repeated("{a}", |index| format!("fragment f{index} on T{{a}}"), ""),
        repeated("{", |_| "a ".to_owned(), "}"),
        repeated("{a(x:[", |_| "1 ".to_owned(), "])}"),
        repeated("{a(", |index| format!("a{index}:1 "), ")}"),
    ];
    let any_length = DocumentLimits { document_bytes: usize::MAX, ..limits() };
    for text in documents {
        assert_too_large(&refused(&text), "document bytes", 16_384);
        let refusal = on_worker_stack(|| {
            MeasuredDocument::measure(&text, &any_length).map(MeasuredDocument::unvalidated)
        })
        .expect_err("many");
        assert_too_large(&refusal, "tokens", 4_000);
    }
}

#[test]
fn each_count_is_accepted_at_its_maximum_and_refused_one_above() {
    let cases: [(&str, usize, Written); 15] = [
        ("document bytes", 16_384, |count| format!("{{a}}{}", " ".repeat(count - 3))),
        ("name characters", 256, |count| format!("{{{}: a}}", "_".repeat(count))),
        ("name characters", 256, |count| format!("query(${}:Int){{a}}", "v".repeat(count))),
        ("name characters", 256, |count| format!("{{a(x:[{}])}}", "E".repeat(count))),
        ("selections", 2_000, |count| format!("{{a{{{}}}}}", fields(count - 1))),
        ("aliases", 30, |count| {
            format!("{{a{{{}}}}}", many(count, |index| format!("a{index}:b ")))
        }),
        ("root fields", 30, |count| format!("{{{}}}", fields(count))),
        ("root fields", 30, |count| {
            format!(
                "{{...F ...F {}}}fragment F on Query{{...{{{}}}}}",
                fields(count - 20),
                fields(10)
            )
        }),
        ("directives", 30, |count| format!("query @a{{b{}}}", "@c(x:1)".repeat(count - 1))),
        ("operations", 5, |count| many(count, |index| format!("query q{index}{{a}}"))),
        ("fragments", 100, |count| {
            format!("{{a}}{}", many(count, |index| format!("fragment f{index} on Query{{a}}")))
        }),
        ("list items", 250, |count| format!("{{a(x:{{y:[0,[{}]]}})}}", "1 ".repeat(count))),
        ("list items", 250, |count| format!("query($x:[Int]=[{}]){{a}}", "1 ".repeat(count))),
        ("list items", 250, |count| format!("{{a @b(x:[{}])}}", "$y ".repeat(count))),
        ("field merges", 20_000, |count| field_merges(count)),
    ];
    for (what, maximum, text) in cases {
        accepted(&text(maximum));
        assert_too_large(&refused(&text(maximum + 1)), what, maximum as u64);
    }
}

/// A set whose fields are compared once in it and once for each inline fragment around it.
fn field_merges(count: usize) -> String {
    let (levels, fields) = (20, 900);
    let inner = self::fields(fields);
    let nested_work = (levels + 1) * fields + levels * (levels + 1) / 2;
    let rest = many(count - nested_work - 2, |index| format!("g{index} "));
    nested("{a{", "...{", &inner, "}", &format!("}}b{{{rest}}}}}"), levels)
}

#[test]
fn tokens_are_counted_as_the_specification_does() {
    let cases = [
        ("{ a , b # c d e\n }", 4),
        ("{a...b ...on C{d}}", 11),
        ("query($a:[Int!]=[-1,1.5e+10,2E-3,0])@b{c}", 22),
        ("{a(x:\"one two\",y:\"\"\"three \" four\"\"\")}", 11),
        ("\u{feff}{a|&=}", 6),
        ("", 0),
    ];
    for (text, tokens) in cases {
        assert_eq!(
            scan_document(text, &limits()).map(|scanned| scanned.tokens),
            Ok(tokens),
            "{text}"
        );
    }
    let values = |count: usize| format!("{{a(x:[{}])}}", "1 ".repeat(count));
    assert!(scan_document(&values(4_000 - 9), &limits()).is_ok());
    assert_too_large(&refused(&values(4_000 - 8)), "tokens", 4_000);
}

#[test]
fn depth_is_accepted_at_15_and_refused_at_16() {
    let deep = |depth: usize| nested("", "{a", "{id}", "}", "", depth);
    assert_eq!(accepted(&deep(15)).operation(None).expect("one operation").depth(), 15);
    let refusal = refused(&deep(16));
    assert_eq!(
        refusal,
        Refusal::TooDeep { depth: 16, maximum: 15, at: Pos { line: 1, column: 1 } }
    );
    assert_eq!(refusal.code().as_str(), "QUERY_TOO_DEEP");
    assert_eq!(refusal.details(), [("depth", 16.into()), ("maximum", 15.into())]);
    let through_fragments = format!(
        "{{...A}}fragment A on Q{}fragment B on Q{}",
        nested("", "{a", "{...B}", "}", "", 8),
        nested("", "{b", "{id}", "}", "", 8)
    );
    assert_eq!(refused(&through_fragments), refusal);
}

#[test]
fn connections_and_leaves_have_no_depth() {
    let cases = [
        ("{id}", 0),
        ("{viewer{id}}", 1),
        ("{viewer{friends{edges{cursor node{id}}pageInfo{hasNextPage}}}}", 3),
        ("{viewer{friends{nodes{id}}}}", 2),
        ("{viewer{...{friends{...{edges{...{node{id}}}}}}}}", 2),
        ("{node(id:1){id}}", 1),
        ("{nodes(ids:[1]){id}}", 1),
        ("{__schema{types{fields{type{ofType{name}}}}}}", 0),
    ];
    for (text, depth) in cases {
        assert_eq!(accepted(text).operation(None).expect("one operation").depth(), depth, "{text}");
    }
}

#[test]
fn introspection_has_a_depth_of_its_own() {
    let of_types =
        |depth: usize| nested("{__type(name:\"T\")", "{ofType", "{name}", "}", "}", depth - 1);
    accepted(&of_types(20));
    assert!(matches!(refused(&of_types(21)), Refusal::TooDeep { depth: 21, maximum: 20, .. }));
    accepted("{__schema{types{fields{args{type{inputFields{name}}}}}}}");
    let fields = "{__schema{types{fields{type{fields{type{fields{name}}}}}}}}";
    assert_too_large(&refused(fields), "nested introspection lists", 2);
    let hidden = "{__schema{types{...A}}}fragment A on __Type{fields{type{...B}}}\
        fragment B on __Type{possibleTypes{interfaces{name}}}";
    assert_too_large(&refused(hidden), "nested introspection lists", 2);
    let of_data = "{viewer{fields{fields{fields{fields{id}}}}}}";
    assert_eq!(accepted(of_data).operation(None).expect("one operation").depth(), 5);
}

#[test]
fn strings_without_an_end_are_refused() {
    for string in
        ["\"", "\"abc", "\"\\\"", "\"a\nb\"", "\"a\rb\"", "\"\"\"", "\"\"\"a\"\"", "\"\"\"\\\"\"\""]
    {
        let refusal = assert_parse_failed(&format!("{{a(x:{string})}}"));
        assert_eq!(refusal.to_string(), "unterminated string", "{string:?}");
        assert_eq!(refusal.location(), Some(Pos { line: 1, column: 6 }));
    }
    assert_parse_failed(&format!("{{a(x:\"{}\")}}", "\\".repeat(9_999)));
}

#[test]
fn escapes_follow_the_specification() {
    accepted(r#"{a(x:"\u0041 \" \\ \/ \b \f \n \r \t \u00e9 \u{41} \uD83D\uDE00")}"#);
    for escape in [
        r"\uD800",
        r"\udfff",
        r"\uDE00\uD83D",
        r"\u{}",
        r"\u{D800}",
        r"\u{110000}",
        r"\u00",
        r"\x41",
        r"\0",
        "\\\n",
    ] {
        assert_parse_failed(&format!("{{a(x:\"{escape}\")}}"));
    }
}

#[test]
fn control_characters_may_stand_in_strings_and_comments_alone() {
    for control in
        (0..0x20_u8).filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r')).map(char::from)
    {
        for (before, after) in [
            ("{a #", "\n}"),
            ("{a(x:\"", "\")}"),
            ("{a(x:\"b", "\")}"),
            ("{a(x:\"\"\"", "\"\"\")}"),
        ] {
            accepted(&format!("{before}{control}{after}"));
        }
        for (before, after) in [("", "{a}"), ("{a", "}"), ("{a(x:", ")}"), ("{a(x:\"\\", "\")}")] {
            assert_parse_failed(&format!("{before}{control}{after}"));
        }
    }
    accepted("\u{feff}{\ta(x:\"\t\u{7f}\u{80}\u{feff}\")\u{feff}\r\n}");
    assert_parse_failed("{a\u{7f}}");
    assert_parse_failed("{é}");
}

#[test]
fn huge_numbers_are_parsed_or_refused_without_delay() {
    let digits = "9".repeat(10_000);
    for number in [
        format!("{digits}.{digits:.100}"),
        format!("0.{digits}"),
        format!("1e-{digits}"),
        format!("-0.{digits}"),
    ] {
        if let Err(refusal) = check(&format!("{{a(x:{number})}}")) {
            assert_small(&refusal);
        }
    }
    for number in [digits.as_str(), &format!("1e{digits}"), &format!("-{digits}")] {
        assert_parse_failed(&format!("{{a(x:{number})}}"));
    }
}

#[test]
fn what_is_no_document_is_refused() {
    for text in [
        "",
        " ",
        "#",
        "# only\n# comments",
        ",,,",
        "\u{feff}",
        "{",
        "}",
        "{a",
        "{a}}",
        "{a)",
        "(a}",
        "{a(}",
        "{a(x:[1)]}",
        "]{a}",
        "query",
        "fragment F on T{a}",
        "0000",
        "{a{}}",
        "{}",
    ] {
        assert_parse_failed(text);
    }
    for text in ["{a}{b}", "query q{a}query q{b}", "type T{a:Int}", "{a}extend type T{a:Int}"] {
        assert_eq!(refused(text).code().as_str(), "GRAPHQL_VALIDATION_FAILED", "{text}");
    }
}

#[test]
fn commas_are_white_space_outside_strings_and_comments() {
    let text = "{,a,(x:\",,\"y:\"\"\",\"\"\",),{,...,F,},},#,,\nfragment,F,on,T,{,b,}";
    let document = accepted(text);
    let value = |name: &str| {
        let (_, operation) = document.document.operations.iter().next().expect("an operation");
        match &operation.node.selection_set.node.items[0].node {
            async_graphql::parser::types::Selection::Field(field) => {
                field.node.get_argument(name).map(|value| value.node.to_string())
            }
            _ => None,
        }
    };
    assert_eq!(value("x").as_deref(), Some("\",,\""));
    assert_eq!(value("y").as_deref(), Some("\",\""));
}

#[test]
fn syntax_errors_say_what_was_expected_and_where() {
    let refusal = assert_parse_failed("{\n  a(x: )\n}");
    assert_eq!(refusal.to_string(), "expected a valid Value");
    assert_eq!(refusal.location(), Some(Pos { line: 2, column: 8 }));
    let long = "x".repeat(256);
    let refusal = refused(&format!("{{a}}fragment {long} on T{{a}}fragment {long} on T{{b}}"));
    assert_eq!(refusal.code().as_str(), "GRAPHQL_VALIDATION_FAILED");
    assert!(refusal.to_string().ends_with('…'));
}

#[test]
fn fields_that_differ_under_one_name_are_refused() {
    for text in [
        "{a{b b(x:1)}}",
        "{a{b:c b:d}}",
        "{a{b(x:1)...{b(x:2)}}}",
        "{...F ...on Q{b(x:2)}}fragment F on Q{...{...{b(x:1)}}}",
        "{...F ...on Q{b(y:1)}}fragment F on Q{b(x:1)}",
    ] {
        assert_eq!(refused(text).code().as_str(), "GRAPHQL_VALIDATION_FAILED", "{text}");
    }
    accepted("{a{b(x:1,y:[2])b(y:[2],x:1)...on A{b(x:2)}...on B{b(x:3)}}}");
    accepted("{a{...on A{...{b(x:2)}}...on B{...{b(x:3)}}}}");
}

#[test]
fn fields_that_differ_inside_29_fragments_are_refused_at_once() {
    let arguments = many(600, |index| format!("a{index}:1 "));
    let inner = format!("id({arguments}){}", " id".repeat(1_500));
    let refusal = refused(&nested("{a{", "...{", &inner, "}", "}}", 29));
    assert_eq!(refusal.code().as_str(), "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(
        refusal.to_string(),
        "fields with the response name `id` differ in name or arguments: give one of them an alias"
    );
}

#[test]
fn the_operation_is_the_one_that_would_run() {
    let one = accepted("query Q{a}");
    assert_eq!(one.operation(None).expect("only one").name(), Some("Q"));
    let anonymous = accepted("{a}");
    assert_eq!(anonymous.operation(None).expect("only one").name(), None);
    let several = accepted(
        "query Q{__schema{types{name}}...F}mutation M{a}subscription S{b __typename}fragment F on Query{__typename}",
    );
    let kinds = [
        ("Q", OperationType::Query, true),
        ("M", OperationType::Mutation, false),
        ("S", OperationType::Subscription, false),
    ];
    for (name, kind, asks_for_schema) in kinds {
        let operation = several.operation(Some(name)).expect("defined");
        assert_eq!(
            (operation.name(), operation.kind(), operation.selects_schema()),
            (Some(name), kind, asks_for_schema)
        );
    }
    let long = "x".repeat(9_000);
    for (document, name) in [
        (&several, None),
        (&several, Some("m")),
        (&several, Some("")),
        (&anonymous, Some("Q")),
        (&one, Some("\0")),
        (&one, Some(&long)),
    ] {
        let refusal = document.operation(name).expect_err("names none");
        assert_small(&refusal);
        assert_eq!(refusal.code().as_str(), "BAD_USER_INPUT");
        assert_eq!(refusal.details(), [("argument", "operationName".into())]);
    }
}

#[test]
fn large_variables_are_refused() {
    let document = accepted("query($x:X){a(x:$x)b(x:[$x {y:$x}])}");
    let limits = DocumentLimits { argument_values: 20_000, ..limits() };
    let refusal = |value: Value| document.check_variables(&variables(&[("x", value)]), &limits);
    let list = |items: usize| Value::List(vec![Value::Null; items]);
    assert_eq!(refusal(list(250)), Ok(()));
    assert_too_large(&refusal(list(251)).expect_err("long"), "list items", 250);
    let nested = |depth: usize| (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    assert_eq!(refusal(nested(32)), Ok(()));
    assert_too_large(&refusal(nested(33)).expect_err("nested"), "variables nesting", 32);
    // Three uses of 26 lists of 250 items are 19,581 values.
    let lists = |count: usize| Value::List(vec![list(250); count]);
    assert_eq!(refusal(lists(26)), Ok(()));
    assert_too_large(&refusal(lists(27)).expect_err("used thrice"), "argument values", 20_000);
    assert_eq!(document.check_variables(&variables(&[("unused", lists(200))]), &limits), Ok(()));
}

fn variables(values: &[(&str, Value)]) -> Variables {
    let object = values.iter().map(|(name, value)| (async_graphql::Name::new(name), value.clone()));
    Variables::from_value(Value::Object(object.collect()))
}

fn table() -> CostTable {
    CostTable::from_sdl(SCHEMA, BOUNDS).expect("every list is bounded")
}

#[track_caller]
fn objects(text: &str, values: &[(&str, Value)]) -> u64 {
    accepted(text)
        .operation(None)
        .expect("one operation")
        .cost(&table(), &variables(values), &limits())
        .points
}

#[test]
fn objects_cost_one_and_leaves_and_connections_nothing() {
    let cases = [
        ("{__typename}", 0),
        ("{viewer{id name tags}}", 1),
        ("{viewer{best{best{id}}}}", 3),
        ("{people{totalCount pageInfo{hasNextPage}}}", 0),
        ("{people{nodes{id}}}", 20),
        ("{people{edges{cursor node{id}}}}", 20),
        ("{people(first:3){edges{node{id}}nodes{id}}}", 6),
        ("{people(first:3){nodes{friends(first:4){nodes{best{id}}}}}}", 3 * (1 + 4 * 2)),
        (
            "{people(first:3){nodes{best{friends(last:2){edges{node{id}}nodes{id}}}}}}",
            3 * (1 + 1 + 4),
        ),
        ("{suits{rulers(ids:[1,2]){id}}}", 5 * (1 + 2)),
        ("{suits{rulers{id}}}", 5 * (1 + 100)),
        ("{nodes(ids:[\"a\",\"b\"]){id}}", 2),
        ("{popular{id}}", 5),
        ("{popular(limit:7){id}}", 7),
        ("{found{...on User{best{id}}...on Suit{rulers(ids:1){id}}}}", 3),
        ("{node(id:1){...on User{friends(first:2){nodes{id}}}}}", 3),
        ("{__schema{types{fields{name}}}__type(name:\"User\"){name}__typename}", 1_100),
        ("{nothing{of{the{kind}}}...on Nobody{best{id}}...Missing}", 0),
        ("mutation{rename(name:\"a\"){viewer{id}edge{node{id}}userErrors{message}}}", 13),
        ("subscription{renamed{id}}", 1),
    ];
    for (text, cost) in cases {
        assert_eq!(objects(text, &[]), cost, "{text}");
    }
}

#[test]
fn page_sizes_come_from_arguments_variables_and_defaults() {
    let text = "query($n:Int){people(first:$n){nodes{id}}}";
    let cases = [
        (Value::from(7), 7),
        (Value::from(0), 0),
        (Value::Null, 20),
        (Value::from(-1), 0),
        (Value::from(101), 100),
        (Value::from(u64::MAX), 100),
        (Value::from(1.5), 100),
        (Value::from("7"), 100),
        (Value::List(vec![]), 100),
    ];
    for (value, cost) in cases {
        assert_eq!(objects(text, &[("n", value.clone())]), cost, "{value}");
    }
    let written = [
        ("{people(first:null,last:3){nodes{id}}}", 3),
        ("{people(first:2,last:3){nodes{id}}}", 3),
        ("{people(first:-5){nodes{id}}}", 0),
        ("{people(first:99999999999999999999){nodes{id}}}", 100),
        ("query($n:Int){people(first:$n){nodes{id}}}", 20),
        ("query($n:Int=9){people(first:$n){nodes{id}}}", 9),
        ("{people(first:$undefined){nodes{id}}}", 20),
        ("query($l:Int! =500){popular(limit:$l){id}}", 20),
    ];
    for (text, cost) in written {
        assert_eq!(objects(text, &[]), cost, "{text}");
    }
    assert_eq!(objects("query($n:Int=9){people(first:$n){nodes{id}}}", &[("n", Value::Null)]), 20);
    let ids = |count| [("ids", Value::List(vec!["a".into(); count]))];
    for (count, cost) in [(0, 0), (3, 3), (100, 100), (101, 100)] {
        assert_eq!(objects("query($ids:[ID!]!){nodes(ids:$ids){id}}", &ids(count)), cost);
    }
}

#[test]
fn one_fragment_costs_what_each_of_its_connections_asks_for() {
    let text = "{viewer{a:friends(first:2){...F}b:friends(first:30){...F ...F}}}\
        fragment F on UserConnection{nodes{...U}...{edges{node{...U}}}}fragment U on User{best{id}}";
    assert_eq!(objects(text, &[]), 1 + 2 * (2 + 2) + 30 * (4 + 4));
}

#[test]
fn bytes_of_a_large_response_cost_points() {
    // With two digits each.
    let leaves = |count: usize, length: usize| {
        let alias = "a".repeat(length - 2);
        let leaves = many(count, |index| format!("{alias}{}:id ", 10 + index));
        objects(&format!("{{people(first:100){{nodes{{{leaves}}}}}}}"), &[])
    };
    let keys = ("people".len() + "nodes".len()) as u64 + 2 * VALUE_BYTES;
    let bytes = |count: u64, length: u64| keys + 100 * count * (length + VALUE_BYTES);
    assert!(bytes(15, 100) < FREE_RESPONSE_BYTES);
    assert_eq!(leaves(15, 100), 100);
    let above = bytes(30, 100) - FREE_RESPONSE_BYTES;
    assert_eq!(leaves(30, 100), 100 + above / RESPONSE_BYTES_PER_POINT);
    assert_eq!(leaves(20, 20), 100);
}

#[test]
fn costs_saturate() {
    let text =
        nested("{people(first:100){nodes", "{friends(first:100){nodes", "{id}", "}}", "}}", 13);
    assert_eq!(objects(&text, &[]), u64::MAX);
}

#[test]
fn cost_is_allowed_at_its_maximum_and_refused_one_above() {
    let cost = accepted("{people(first:50){nodes{id}}}")
        .operation(None)
        .expect("one operation")
        .cost(&table(), &Variables::default(), &limits());
    assert_eq!(cost.allowed(50, &limits()), Ok(50));
    let refusal = cost.allowed(49, &limits()).expect_err("dear");
    assert_eq!(refusal, Refusal::CostExceeded { cost: 50, maximum: 49 });
    assert_eq!(refusal.code().as_str(), "COST_LIMIT_EXCEEDED");
    assert_eq!(refusal.details(), [("cost", 50.into()), ("maximum", 49.into())]);
    assert_eq!(refusal.to_string(), "query costs 50, the maximum is 49");
}

#[test]
fn repeated_leaves_of_many_objects_are_refused() {
    let values = |leaves: usize| {
        let text = format!("{{people(first:100){{nodes{{{}}}}}}}", "id ".repeat(leaves));
        accepted(&text).operation(None).expect("one operation").cost(
            &table(),
            &Variables::default(),
            &limits(),
        )
    };
    assert_eq!(values(19).values, 2 + 1 + 100 * 19);
    assert_eq!(values(19).allowed(100, &limits()), Ok(100));
    assert_too_large(
        &values(20).allowed(100, &limits()).expect_err("many values"),
        "values",
        2_000,
    );
}

#[test]
fn large_arguments_of_many_objects_are_refused() {
    let document = accepted("query($l:String!){people(first:100){nodes{name(locale:$l)}}}");
    let large = variables(&[("l", "x".repeat(200 * 1024).into())]);
    let cost = document.operation(None).expect("one operation").cost(&table(), &large, &limits());
    assert_eq!(cost.values, 3 + 100 * (2 + 201));
    assert_too_large(&cost.allowed(1_000, &limits()).expect_err("copies"), "values", 20_000);
}

#[test]
fn lists_without_a_bound_make_no_table() {
    let error = CostTable::from_sdl(SCHEMA, &BOUNDS[2..]).expect_err("two are missing");
    assert_eq!(error, CostTableError::Unbounded(vec!["Query.nodes".into(), "Query.suits".into()]));
    assert_eq!(error.to_string(), "list fields without a bound: Query.nodes, Query.suits");
    for unfitting in [
        bound("User", "tags", Bound::Items(1)),
        bound("Query", "viewer", Bound::Items(1)),
        bound("Gone", "suits", Bound::Items(1)),
    ] {
        let bounds = [BOUNDS, &[unfitting]].concat();
        let name = format!("{}.{}", unfitting.type_name, unfitting.field);
        assert_eq!(
            CostTable::from_sdl(SCHEMA, &bounds).expect_err("stale"),
            CostTableError::Unfitting(vec![name])
        );
    }
    let gone =
        [&BOUNDS[1..], &[bound("Query", "nodes", Bound::Length { argument: "gone", maximum: 1 })]]
            .concat();
    assert_eq!(
        CostTable::from_sdl(SCHEMA, &gone).expect_err("no argument"),
        CostTableError::Unfitting(vec!["Query.nodes".into()])
    );
    assert!(matches!(CostTable::from_sdl("type", &[]), Err(CostTableError::Schema(_))));
    assert!(matches!(CostTable::from_sdl("type T{a:Int}", &[]), Err(CostTableError::Schema(_))));
}

#[test]
fn a_surcharge_is_paid_once_for_each_parent() {
    let surcharge =
        |type_name, field| Surcharge { type_name, field, when: When::Always, points: 50 };
    let charged = [surcharge("User", "best"), surcharge("Query", "suits")];
    let table = table().with_surcharges(&charged).expect("both exist");
    let cost = |text: &str| {
        let document = accepted(text);
        let operation = document.operation(None).expect("one operation");
        operation.cost(&table, &Variables::default(), &limits()).points
    };
    assert_eq!(cost("{viewer{id}}"), 1);
    assert_eq!(cost("{viewer{best{id}}}"), 1 + 50 + 1);
    assert_eq!(cost("{viewer{a:best{id}b:best{id}}}"), 1 + 2 * (50 + 1));
    assert_eq!(cost("{suits{name}}"), 50 + 5);
    assert_eq!(cost("{people(first:3){nodes{best{id}}}}"), 3 * (1 + 50 + 1));
    for (type_name, field) in [("User", "gone"), ("Gone", "best")] {
        let charged = CostTable::from_sdl(SCHEMA, BOUNDS)
            .expect("every list is bounded")
            .with_surcharges(&[surcharge(type_name, field)]);
        let name = format!("{type_name}.{field}");
        assert_eq!(charged.expect_err("no such"), CostTableError::Overcharged(vec![name]));
    }
}

#[test]
fn weight_grows_with_the_document() {
    let small = accepted("{a}").weight_bytes();
    let large = accepted(&format!("{{a{{{}}}}}", "id ".repeat(1_000))).weight_bytes();
    assert!(small < 2_048 && large > 300_000, "{small} {large}");
}

#[test]
fn checked_documents_can_be_shared() {
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<CheckedDocument>();
    is_shared::<CostTable>();
    is_shared::<Refusal>();
}

#[test]
fn documents_of_real_clients_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/documents/accepted");
    let mut checked = 0;
    for entry in fs::read_dir(folder).expect("stored documents") {
        let path = entry.expect("entry").path();
        if path.extension().is_none_or(|extension| extension != "graphql") {
            continue;
        }
        let document = accepted(&fs::read_to_string(&path).expect("document"));
        let name = fs::read_to_string(path.with_extension("operation")).ok();
        document.operation(name.as_deref()).unwrap_or_else(|refusal| panic!("{path:?}: {refusal}"));
        if let Ok(values) = fs::read_to_string(path.with_extension("variables.json")) {
            let values = serde_json::from_str(&values).expect("variables");
            assert_eq!(document.check_variables(&values, &limits()), Ok(()), "{path:?}");
        }
        checked += 1;
    }
    assert!(checked > 0);
}

/// A valid document with every construct, to be mutated.
const VALID: &str = r#"query Q($a: [ID!]! = ["x", "y"], $n: Int = 3) @d(x: {y: [1.5e3, -2, true, null, E]}) {
  viewer { ...F @include(if: true) friends(first: $n) { edges { node { id } } } } # comment
  nodes(ids: $a) { ... on User @skip(if: false) { name(locale: """block "quoted" text""") } }
}
mutation M { rename(name: "a\u00e9\n") { viewer { id } } }
fragment F on User { best { id, t: name ...G } }
fragment G on User { tags }
"#;

const PIECES: &[&str] = &[
    "{", "}", "(", ")", "[", "]", "\"", "\"\"\"", "\\", "#", "\n", "...", "...F", "...G", "on",
    "$a", "@d", ":", "=", "!", "é", "\u{feff}", "\0", "9", ".", "-", "e", "fragment", "query",
    "{a", "a:", "first:", " ",
];

#[test]
fn the_document_to_mutate_is_accepted() {
    accepted(VALID);
    assert!(survives(VALID));
}

/// Whatever happens is a result, and what is accepted took linear work.
fn survives(text: &str) -> bool {
    let Ok(document) =
        MeasuredDocument::measure(text, &limits()).map(MeasuredDocument::unvalidated)
    else {
        return true;
    };
    let names = document.document.operations.iter().map(|(name, _)| name.map(ToString::to_string));
    let costs = names.map(|name| {
        let operation = document.operation(name.as_deref()).expect("its own name");
        operation.cost(&table(), &Variables::default(), &limits()).work
    });
    let work = document.work() + costs.sum::<u64>();
    // The cost is asked of each operation here, and of one only when a document runs.
    work <= text.len() as u64 * WORK_PER_BYTE * 2 + limits().field_merges as u64
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC*", bytes in any::<Vec<u8>>()) {
        prop_assert!(survives(&text));
        prop_assert!(survives(&String::from_utf8_lossy(&bytes)));
        let _ = scan_json(&bytes, &limits());
    }

    #[test]
    fn any_tokens_are_survived(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..200)) {
        prop_assert!(survives(&pieces.concat()));
        let value = format!("{{a(x:{})}}", pieces.concat());
        prop_assert!(survives(&value));
    }

    #[test]
    fn any_mutation_of_a_document_is_survived(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(PIECES)), 1..8),
    ) {
        let mut characters: Vec<char> = VALID.chars().collect();
        for (place, removed, inserted) in edits {
            let start = place.index(characters.len());
            let end = (start + removed).min(characters.len() - 1).max(start);
            characters.splice(start..end, inserted.chars());
        }
        prop_assert!(survives(&characters.into_iter().collect::<String>()));
    }
}
