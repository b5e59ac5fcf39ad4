use proptest::prelude::*;

use super::*;

const FIELDS: [&str; 2] = ["title", "body"];

fn parse(text: &str, fields: &[&str]) -> Result<Words, Refused> {
    super::parse(text, fields, &["genre"])
}

/// What was understood, written so that it is understood the same again.
fn print(node: &Node) -> String {
    let within = |node: &Node, is_all: bool| match node {
        Node::Any(_) if is_all => format!("({})", print(node)),
        other => print(other),
    };
    match node {
        Node::All(nodes) => {
            nodes.iter().map(|node| within(node, true)).collect::<Vec<_>>().join(" ")
        }
        Node::Any(nodes) => {
            nodes.iter().map(|node| within(node, false)).collect::<Vec<_>>().join(" OR ")
        }
        Node::Not(node) => match &**node {
            Node::Text(_) => format!("NOT {}", print(node)),
            _ => format!("NOT ({})", print(node)),
        },
        Node::Text(Text { field, text, form }) => {
            let field = field.map(|field| format!("{}:", FIELDS[field])).unwrap_or_default();
            match form {
                Form::Exact => format!("{field}\"{text}\""),
                Form::Prefix => format!("{field}\"{text}\"*"),
                Form::Fuzzy => format!("{field}\"{text}\"~"),
            }
        }
    }
}

fn read(text: &str) -> Words {
    parse(text, &FIELDS).unwrap()
}

#[track_caller]
fn check(table: &str) {
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (text, expected) = line.split_once(" => ").unwrap();
        let words = read(text.trim());
        assert_eq!(words.root.as_ref().map(print).unwrap_or_default(), expected.trim(), "{text}");
        assert_eq!(words.warnings, [""; 0], "{text}");
    }
}

#[test]
fn what_is_written_is_understood() {
    check(
        r#"
        red                       => "red"
        red shoes                 => "red" "shoes"
        "red shoes"               => "red shoes"
        “red shoes” „a“           => "red shoes" "a"
        red OR blue shoes         => "red" OR "blue" "shoes"
        red AND shoes OR a b      => "red" "shoes" OR "a" "b"
        (red OR blue) shoes       => ("red" OR "blue") "shoes"
        a (b c) (d (e))           => "a" "b" "c" "d" "e"
        a OR (b OR c)             => "a" OR "b" OR "c"
        -red shoes                => NOT "red" "shoes"
        NOT red                   => NOT "red"
        NOT NOT red               => "red"
        NOT (a b)                 => NOT ("a" "b")
        -(a OR b)                 => NOT ("a" OR "b")
        -"a b"                    => NOT "a b"
        +red -blue                => "red" NOT "blue"
        title:red body:"a b"      => title:"red" body:"a b"
        title:(red OR blue) a     => (title:"red" OR title:"blue") "a"
        title:(a body:b)          => title:"a" body:"b"
        title:body:b              => body:"b"
        -title:a                  => NOT title:"a"
        TITLE:a                   => title:"a"
        sho*                      => "sho"*
        "red sho*"                => "red sho"*
        "red sho"*                => "red sho"*
        title:sho*                => title:"sho"*
        shoos~ shoos~1            => "shoos"~ "shoos"~
        "shoos"~                  => "shoos"~
        "#,
    );
}

#[test]
fn whatever_is_typed_is_understood() {
    check(
        r#"
        "red shoes                => "red shoes"
        (red (shoes               => "red" "shoes"
        red) OR shoes)            => "red" "OR" "shoes"
        12" monitor               => "12" " monitor"
        red-shoes 12:30 a@b.org   => "red-shoes" "12:30" "a@b.org"
        http://x.org/a?b=c        => "http://x.org/a?b=c"
        /usr/bin /etc/            => "/usr/bin" "/etc/"
        AND                       => "AND"
        OR a                      => "OR" "a"
        a OR                      => "a" "OR"
        a AND                     => "a" "AND"
        a OR OR b                 => "a" OR "OR" "b"
        a AND OR b                => "a" "OR" "b"
        NOT                       => "NOT"
        a NOT                     => "a" "NOT"
        (NOT)                     => "NOT"
        or and not                => "or" "and" "not"
        --force a- - b -          => "--force" "a-" "b"
        title: a                  => "title:" "a"
        foo(bar)                  => "foo" "bar"
        a & b | 🙂                => "a" "b"
        why? a or                 => "why?" "a" "or"
        don't AT&T                => "don't" "AT&T"
        "" () "  " * ~ - + a      => "a"
        title:"" b                => "b"
        title:-b                  => title:"-b"
        a"b"c                     => "a" "b" "c"
        a OR -b                   => "a" OR NOT "b"
        "#,
    );
    for nothing in
        ["", " ", "()", "\"", "\"\"", "*", "~", "🙂", "-", "NOT ()", "\0", "(", ")", "((("]
    {
        assert_eq!(read(nothing), Words { root: None, warnings: Vec::new() }, "{nothing:?}");
    }
}

#[test]
fn what_was_perhaps_meant_otherwise_is_told() {
    for (text, expected, warning) in [
        (
            "name:red",
            "\"name:red\"",
            "`name:` is no field, and taken as a word; fields are title, body",
        ),
        (
            "name:(a b)",
            "\"name:\" \"a\" \"b\"",
            "`name:` is no field, and taken as a word; fields are title, body",
        ),
        ("wo*rd", "\"wo*rd\"", "`wo*rd`: `*` stands for letters at the end of a word only"),
        ("*word*", "\"*word\"*", "`*word*`: `*` stands for letters at the end of a word only"),
        (
            "genre:novel",
            "\"genre:novel\"",
            "`genre:` is a filter, no field, and taken as a word; a condition on it is `genre=eq.novel`",
        ),
        (
            "a (genre:\"b c\")",
            "\"a\" \"genre:\" \"b c\"",
            "`genre:` is a filter, no field, and taken as a word; a condition on it is `genre=eq.value`",
        ),
        ("a or b", "\"a\" \"or\" \"b\"", "`or` is a word here: `OR` in capitals is either"),
        ("(a || b)", "\"a\" \"b\"", "`||` stands for nothing: `OR` is either"),
        ("a && b", "\"a\" \"b\"", "`&&` stands for nothing: all words are asked for anyway"),
        (
            "wo?d",
            "\"wo?d\"",
            "`wo?d`: `?` stands for no letter; `wor*` is every word that begins so",
        ),
        (
            "word^2",
            "\"word^2\"",
            "`word^2`: `^` stands for nothing; fields have weights, in the definition",
        ),
        (
            "\"a b\"^2",
            "\"a b\" \"^2\"",
            "`^2`: `^` stands for nothing; fields have weights, in the definition",
        ),
        ("word~2", "\"word\"~", "`word~2`: one letter may differ, not more"),
        ("\"word\"~3", "\"word\"~", "`word~3`: one letter may differ, not more"),
    ] {
        let words = read(text);
        assert_eq!(words.root.as_ref().map(print).unwrap_or_default(), expected, "{text}");
        assert_eq!(words.warnings, [warning], "{text}");
    }
    let many = read(&(0..60).map(|index| format!("f{index}:a ")).collect::<String>());
    assert_eq!(many.warnings.len(), 8, "no longer an answer");
}

/// Refused, and by which words of the reason.
#[track_caller]
fn check_refused(text: &str, reason: &str) {
    let refused = parse(text, &FIELDS).expect_err(&text[..text.len().min(80)]);
    assert!(refused.detail.contains(reason), "{refused:?}");
    assert!(refused.hint.is_some() && refused.detail.len() < 200, "{refused:?}");
}

#[test]
fn limits_hold_before_anything_is_made() {
    check_refused(&"a".repeat(2_049), "2049 bytes long, 2048 at most");
    check_refused(&"x".repeat(1 << 20), "2048 at most");
    check_refused(&"(".repeat(10_000), "2048 at most");
    check_refused(&format!("{}a", "(".repeat(21)), "20 deep at most");
    check_refused(&"(".repeat(2_048), "20 deep at most");
    check_refused(&"title:(".repeat(200), "20 deep at most");
    check_refused(&"-(".repeat(1_000), "20 deep at most");
    check_refused(&"a ".repeat(65), "more than 64 words");
    check_refused(&"a OR ".repeat(300), "more than 64 words");
    check_refused(&"a* ".repeat(17), "more than 16 words with");
    check_refused(&"abcd~ ".repeat(17), "more than 16 words with");
    assert!(parse(&"a ".repeat(64), &FIELDS).is_ok());
    assert!(parse(&"a* ".repeat(16), &FIELDS).is_ok());
    let deep = format!("{}a{}", "(".repeat(20), ")".repeat(20));
    assert_eq!(print(&read(&deep).root.unwrap()), "\"a\"");
}

#[test]
fn what_would_be_answered_wrongly_is_refused() {
    check_refused("/wo.*d/", "`/wo.*d/` is a regular expression");
    check_refused("a title:/[ab]+/ b", "regular expression");
    check_refused("(/a|b/)", "regular expression");
    check_refused("_key:a", "`_key:` is no field to search");
    check_refused("a OR (_hash:1)", "`_hash:` is no field");
}

/// On the smallest stack of any thread here, as `proptest` would not show: the tree is made, walked and dropped.
#[test]
fn no_text_takes_the_stack() {
    let texts = [
        "(".repeat(2_048),
        ")".repeat(2_048),
        "NOT ".repeat(512),
        "NOT (".repeat(20),
        "-+".repeat(1_024),
        "title:".repeat(341),
        "title:".repeat(340) + "a",
        "\"".repeat(2_048),
        "AND ".repeat(512),
        "OR ".repeat(682),
        "/".repeat(2_048),
        "\\/".repeat(1_024),
        "*".repeat(2_048),
        "~".repeat(2_048),
        ":".repeat(2_048),
        "\0".repeat(2_048),
        "\u{202e}".repeat(682),
        "\u{200b}".repeat(682),
        "字".repeat(682),
        "a OR (b ".repeat(20),
    ];
    let walk = move || {
        for text in texts {
            if let Ok(Words { root: Some(root), .. }) = parse(&text, &FIELDS) {
                let _ = print(&root);
            }
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(walk).unwrap().join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_understood_is_understood_again(parts in prop::collection::vec(prop::sample::select(vec![
        "a", "b", "wörd", "字", "title:", "body:", "nofield:", "_x:", " ", " ", " ", "(", ")", "\"", "“", "AND", "OR", "NOT", "-", "+", "*", "~", "~1",
        "/", "\\", ".", "12", ":", "\0", "\u{202e}", "é",
    ]), 0..24)) {
        let Ok(words) = parse(&parts.concat(), &FIELDS) else { return Ok(()) };
        if let Some(root) = words.root {
            let printed = print(&root);
            prop_assert_eq!(read(&printed).root, Some(root), "{}", printed);
        }
    }

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        let _ = parse(&text, &FIELDS);
    }
}
