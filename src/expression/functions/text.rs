//! Functions of text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::arithmetic::split;
use super::super::value::{Result, Value, error};
use super::super::{budget, document};
use super::{Function, as_integer, as_text, into_items, nullary, refused, unary};

pub(super) fn functions() -> Vec<Function> {
    vec![
        nullary!("ascii_downcase", |value| mapped(
            "ascii_downcase",
            value,
            str::to_ascii_lowercase
        )),
        nullary!("ascii_upcase", |value| mapped("ascii_upcase", value, str::to_ascii_uppercase)),
        nullary!("trim", |value| trimmed("trim", value, str::trim)),
        nullary!("ltrim", |value| trimmed("ltrim", value, str::trim_start)),
        nullary!("rtrim", |value| trimmed("rtrim", value, str::trim_end)),
        unary!("ltrimstr", |value, affix| stripped("ltrimstr", value, affix, true, false)),
        unary!("rtrimstr", |value, affix| stripped("rtrimstr", value, affix, false, true)),
        unary!("trimstr", |value, affix| stripped("trimstr", value, affix, true, true)),
        unary!("startswith", |value, affix| {
            let (text, affix) = (as_text("startswith", &value)?, as_text("startswith", &affix)?);
            budget::scan(affix.len());
            Ok(Value::Bool(text.starts_with(affix.as_str())))
        }),
        unary!("endswith", |value, affix| {
            let (text, affix) = (as_text("endswith", &value)?, as_text("endswith", &affix)?);
            budget::scan(affix.len());
            Ok(Value::Bool(text.ends_with(affix.as_str())))
        }),
        unary!("split", |value, separator| Ok(split(
            as_text("split", &value)?,
            as_text("split", &separator)?
        ))),
        nullary!("explode", |value| {
            let text = as_text("explode", &value)?;
            Ok(text
                .chars()
                .inspect(|_| budget::operation())
                .map(|char| Value::from(char as usize))
                .collect())
        }),
        nullary!("implode", implode),
        nullary!("utf8bytelength", |value| Ok(Value::from(
            as_text("utf8bytelength", &value)?.len()
        ))),
        nullary!("@uri", uri),
        nullary!("@base64", |value| {
            let value = jaq_core::ValT::into_string(value);
            Ok(Value::from(document::base64(as_text("@base64", &value)?.as_bytes())))
        }),
        nullary!("@base64d", base64d),
    ]
}

fn mapped(name: &str, value: Value, function: fn(&str) -> String) -> Result {
    let text = as_text(name, &value)?;
    budget::operation();
    budget::scan(text.len());
    Ok(Value::from(function(text)))
}

fn trimmed(name: &str, value: Value, function: fn(&str) -> &str) -> Result {
    let text = as_text(name, &value)?;
    budget::operation();
    budget::scan(text.len());
    let rest = function(text);
    Ok(if rest.len() == text.len() { value } else { Value::from(rest) })
}

fn stripped(name: &str, value: Value, affix: Value, start: bool, end: bool) -> Result {
    let (text, affix) = (as_text(name, &value)?, as_text(name, &affix)?);
    budget::operation();
    budget::scan(affix.len());
    let mut rest = text.as_str();
    if start {
        rest = rest.strip_prefix(affix.as_str()).unwrap_or(rest);
    }
    if end {
        rest = rest.strip_suffix(affix.as_str()).unwrap_or(rest);
    }
    Ok(if rest.len() == text.len() { value } else { Value::from(rest) })
}

fn implode(value: Value) -> Result {
    let characters = into_items("implode", value)?;
    let mut text = String::new();
    for character in &characters {
        budget::operation();
        let code = as_integer("implode", character)?;
        let char = u32::try_from(code).ok().and_then(char::from_u32);
        text.push(char.ok_or_else(|| refused("implode", character, "a character"))?);
    }
    Ok(Value::from(text))
}

/// Percent-encoding of all but the unreserved characters of RFC 3986.
fn uri(value: Value) -> Result {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let value = jaq_core::ValT::into_string(value);
    let text = as_text("@uri", &value)?;
    budget::scan(text.len());
    budget::text(text.len().saturating_mul(3));
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    Ok(Value::from(encoded))
}

fn base64d(value: Value) -> Result {
    let text = as_text("@base64d", &value)?;
    budget::scan(text.len());
    budget::text(text.len());
    let bytes =
        STANDARD.decode(text.as_bytes()).map_err(|_| refused("@base64d", &value, "base64"))?;
    let decoded = String::from_utf8(bytes);
    decoded
        .map(Value::from)
        .map_err(|_| error(format!("@base64d: {value} does not decode to UTF-8")))
}
