//! Queries of every kind, made of words and values that rows hold.

use std::time::Instant;

use anyhow::{Result, ensure};
use rusqlite::Connection;

use crate::ask::{Client, escaped};
use crate::corpora::Corpus;
use crate::measure::Latencies;

/// Rows that words are taken from.
const ROWS: usize = 2_000;

/// In the order in which they are asked.
const KINDS: [Kind; 13] = [
    Kind::Word,
    Kind::Words,
    Kind::Phrase,
    Kind::Prefix,
    Kind::Field,
    Kind::Boolean,
    Kind::Fuzzy,
    Kind::Filtered,
    Kind::FilterAlone,
    Kind::Ordered,
    Kind::NextPage,
    Kind::Facets,
    Kind::Highlights,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Words,
    Phrase,
    Prefix,
    Field,
    Boolean,
    Fuzzy,
    Filtered,
    FilterAlone,
    Ordered,
    NextPage,
    Facets,
    Highlights,
}

pub struct Queries {
    corpus: Corpus,
    /// Of each row, the words of each field.
    texts: Vec<Vec<(&'static str, Vec<String>)>>,
    random: Random,
}

impl Queries {
    pub fn new(corpus: Corpus, view: &Connection) -> Result<Self> {
        let fields: &[&str] = match corpus {
            Corpus::Flights => &["airline", "origin_name", "dest_name", "plane"],
            Corpus::Reference => &["title", "body"],
        };
        let sql = format!("SELECT {} FROM {}", fields.join(", "), corpus.table());
        let (mut texts, mut random, mut seen) = (Vec::new(), Random(42), 0);
        let mut statement = view.prepare(&sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            seen += 1;
            let place = if texts.len() < ROWS { texts.len() } else { random.below(seen) };
            if place >= ROWS {
                continue;
            }
            let field = |(at, field): (usize, &&'static str)| {
                Ok((*field, words(&row.get::<_, Option<String>>(at)?.unwrap_or_default())))
            };
            let row = fields.iter().enumerate().map(field).collect::<Result<Vec<_>>>()?;
            if place == texts.len() { texts.push(row) } else { texts[place] = row }
        }
        Ok(Self { corpus, texts, random })
    }

    /// One after another until then: milliseconds by kind, and of all.
    pub fn ask(&mut self, mut client: Client, until: Instant) -> Result<Vec<(String, Latencies)>> {
        let mut milliseconds: Vec<Vec<f64>> = KINDS.iter().map(|_| Vec::new()).collect();
        while Instant::now() < until {
            for (kind, milliseconds) in KINDS.into_iter().zip(&mut milliseconds) {
                let mut path = self.path(kind);
                if kind == Kind::NextPage {
                    let first = client.get(&path)?;
                    let Some(cursor) = first["next"].as_str() else { continue };
                    path = format!("{path}&_cursor={}", escaped(cursor));
                }
                let begun = Instant::now();
                let (code, body) = client.ask(&path)?;
                milliseconds.push(begun.elapsed().as_secs_f64() * 1e3);
                ensure!(code == 200, "{path}: {code} {body}");
            }
        }
        let all = milliseconds.iter().flatten().copied().collect();
        let kinds = KINDS.into_iter().zip(milliseconds).filter(|(_, times)| !times.is_empty());
        let mut latencies: Vec<_> =
            kinds.map(|(kind, times)| (kind.name().to_owned(), Latencies::new(times))).collect();
        latencies.push(("all".to_owned(), Latencies::new(all)));
        Ok(latencies)
    }

    fn path(&mut self, kind: Kind) -> String {
        let (field, word) = self.word();
        let more = match kind {
            Kind::Word | Kind::NextPage => q(&word),
            Kind::Words => q(&self.both()),
            Kind::Phrase => q(&format!("\"{}\"", self.phrase())),
            Kind::Prefix => q(&format!("{}*", &word[..3])),
            Kind::Field => q(&format!("{field}:{word}")),
            Kind::Boolean => {
                let (second, third) = (self.word().1, self.word().1);
                q(&format!("({word} OR {second}) AND NOT {third}"))
            }
            Kind::Fuzzy => q(&format!("{}~1", self.misspelt(&word))),
            Kind::Filtered => format!("{}&{}", q(&word), self.filter()),
            Kind::FilterAlone => self.filter().to_owned(),
            Kind::Ordered => format!("{}&_order={}", q(&word), self.order()),
            Kind::Facets => format!("{}&_total=true&_facets={}", q(&word), self.facets()),
            Kind::Highlights => format!("{}&_highlight=true", q(&word)),
        };
        let (projection, index) = (self.corpus.name(), self.corpus.table());
        format!("/v1/projections/{projection}/search/{index}?{more}")
    }

    fn field(&mut self) -> (&'static str, Vec<String>) {
        loop {
            let row = self.random.below(self.texts.len());
            let field = self.random.below(self.texts[row].len());
            let (field, words) = &self.texts[row][field];
            if !words.is_empty() {
                return (field, words.clone());
            }
        }
    }

    /// One of four plain letters and more.
    fn word(&mut self) -> (&'static str, String) {
        loop {
            let (field, mut words) = self.field();
            words.retain(|word| is_plain(word));
            if !words.is_empty() {
                let at = self.random.below(words.len());
                return (field, words.swap_remove(at));
            }
        }
    }

    /// Two words of one text.
    fn both(&mut self) -> String {
        let (_, words) = self.field();
        let (one, two) = (self.random.below(words.len()), self.random.below(words.len()));
        format!("{} {}", words[one], words[two])
    }

    /// Two words that stand together, or one.
    fn phrase(&mut self) -> String {
        let (_, words) = self.field();
        let at = self.random.below(words.len());
        words[at..words.len().min(at + 2)].join(" ")
    }

    /// With its second letter another.
    fn misspelt(&mut self, word: &str) -> String {
        let letter = char::from(b'a' + self.random.below(26) as u8);
        format!("{}{letter}{}", &word[..1], &word[2..])
    }

    fn filter(&mut self) -> &'static str {
        let all: &[_] = match self.corpus {
            Corpus::Flights => &[
                "dep_delay=gt.60",
                "status=eq.cancelled",
                "flight_date=gte.2013-06-01&flight_date=lt.2013-07-01",
                "carrier=in.(UA,DL)&distance=gte.1000",
                "late=is.true",
            ],
            Corpus::Reference => &[
                "members=gt.20",
                "publisher=eq.google",
                "published=gte.2020-01-01",
                "service=in.(ec2,compute)&kind=eq.type",
                "kind=eq.operation&members=eq.0",
            ],
        };
        all[self.random.below(all.len())]
    }

    fn order(&mut self) -> &'static str {
        let all: &[_] = match self.corpus {
            Corpus::Flights => &["dep_delay.desc", "scheduled_departure.asc", "carrier.asc"],
            Corpus::Reference => &["members.desc", "published.desc", "service.asc"],
        };
        all[self.random.below(all.len())]
    }

    fn facets(&self) -> &'static str {
        match self.corpus {
            Corpus::Flights => "carrier,status",
            Corpus::Reference => "service,kind",
        }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Word => "a word",
            Self::Words => "two words",
            Self::Phrase => "phrase",
            Self::Prefix => "prefix of three letters",
            Self::Field => "word in a field",
            Self::Boolean => "(a OR b) AND NOT c",
            Self::Fuzzy => "fuzzy",
            Self::Filtered => "word and filter",
            Self::FilterAlone => "filter alone",
            Self::Ordered => "word, ordered by a column",
            Self::NextPage => "second page",
            Self::Facets => "word, facets and total",
            Self::Highlights => "word, highlights",
        }
    }
}

fn q(words: &str) -> String {
    format!("_q={}", escaped(words))
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    // Those in capitals may be operators.
    words.map(str::to_lowercase).collect()
}

fn is_plain(word: &str) -> bool {
    word.len() > 3 && word.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}
