//! What the headers of a message say about its payload.

/// How a payload is to be read, by its content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Text,
    Binary,
}

/// What a content type says about CloudEvents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Structured<'a> {
    No,
    Json,
    /// Another format of a structured event, or a batch.
    Other(&'a str),
}

/// What data of this content type is; without one it is JSON, as CloudEvents has it.
pub(super) fn content(content_type: Option<&str>) -> Content {
    // What nearly every event says.
    if matches!(content_type, None | Some("application/json")) {
        return Content::Json;
    }
    let media = media(content_type.unwrap_or(""));
    let is = |name: &str| media.eq_ignore_ascii_case(name);
    if media.is_empty() || is("application/json") || is("text/json") || ends_with(media, "+json") {
        Content::Json
    } else if starts_with(media, "text/") {
        Content::Text
    } else {
        Content::Binary
    }
}

/// Whether the content type announces a structured CloudEvent.
pub(super) fn structured(content_type: &str) -> Structured<'_> {
    const PREFIX: &str = "application/cloudevents";
    // Most are not, which their beginning shows.
    if !starts_with(content_type.trim_start(), PREFIX) {
        return Structured::No;
    }
    let media = media(content_type);
    if !starts_with(media, PREFIX) {
        return Structured::No;
    }
    match &media[PREFIX.len()..] {
        "" => Structured::Json,
        suffix if suffix.eq_ignore_ascii_case("+json") => Structured::Json,
        _ => Structured::Other(media),
    }
}

/// A header's name without its prefix `ce-`.
pub(super) fn attribute_name(header: &str) -> Option<&str> {
    starts_with(header, "ce-").then(|| &header[3..])
}

/// The bytes of a value whose special characters are percent-encoded; None if it has none.
///
/// What only looks like an encoding is left as it stands.
pub(super) fn percent_decoded(value: &str) -> Option<Vec<u8>> {
    let bytes = value.as_bytes();
    if !bytes.contains(&b'%') {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    Some(decoded)
}

fn media(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or("").trim()
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn ends_with(text: &str, suffix: &str) -> bool {
    let start = text.len().wrapping_sub(suffix.len());
    text.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (content_type, expected) in [
            (None, Content::Json),
            (Some(""), Content::Json),
            (Some("application/json"), Content::Json),
            (Some("Application/JSON; charset=utf-8"), Content::Json),
            (Some("application/vnd.shop.order+JSON"), Content::Json),
            (Some("text/json"), Content::Json),
            (Some("text/plain; charset=utf-8"), Content::Text),
            (Some("TEXT/XML"), Content::Text),
            (Some("application/xml"), Content::Binary),
            (Some("application/octet-stream"), Content::Binary),
            (Some("é"), Content::Binary),
        ] {
            assert_eq!(content(content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn structured_types() {
        for (content_type, expected) in [
            ("application/cloudevents", Structured::Json),
            ("application/cloudevents+json", Structured::Json),
            ("Application/CloudEvents+JSON; charset=UTF-8", Structured::Json),
            ("application/cloudevents+avro", Structured::Other("application/cloudevents+avro")),
            (
                "application/cloudevents-batch+json",
                Structured::Other("application/cloudevents-batch+json"),
            ),
            ("application/json", Structured::No),
            ("", Structured::No),
        ] {
            assert_eq!(structured(content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn percent_encodings() {
        for (value, expected) in [
            ("a%20b", "a b"),
            ("%E2%82%AC%22", "€\""),
            ("%e2%82%ac", "€"),
            ("100%", "100%"),
            ("%2", "%2"),
            ("%zz%41", "%zzA"),
            ("%%41", "%A"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(percent_decoded(value).as_deref(), Some(expected.as_bytes()), "{value}");
        }
        assert_eq!(percent_decoded("plain"), None);
    }
}
