//! The inputs that JSON parsers disagree about, each with what viewd says of it. See `README.md`.

/// One input.
pub struct Case {
    pub name: String,
    pub input: Vec<u8>,
    pub accepted: bool,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let deep = [
        ("structure_500_nested_arrays", ["[".repeat(500), "]".repeat(500)].concat()),
        ("structure_100000_opening_arrays", "[".repeat(100_000)),
        ("structure_open_array_object", "[{\"\":".repeat(50_000)),
    ];
    let deep = deep.into_iter().map(|(name, input)| Case {
        name: name.to_owned(),
        input: input.into_bytes(),
        accepted: false,
    });
    include_str!("cases.txt").lines().map(case).chain(deep).collect()
}

fn case(line: &str) -> Case {
    let (verdict, rest) = line.split_at(3);
    let (name, input) = rest.split_once(' ').unwrap_or((rest, ""));
    let accepted = match verdict.trim() {
        "y" | "i+" => true,
        "n" | "i-" => false,
        other => panic!("no verdict: {other}"),
    };
    Case { name: name.to_owned(), input: unescaped(input.trim()), accepted }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(&behind[..2]).expect("two digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("two hexadecimal digits"));
            rest = &behind[2..];
        } else {
            bytes.push(byte);
            rest = behind;
        }
    }
    bytes
}
