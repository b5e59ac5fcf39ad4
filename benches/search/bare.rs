//! What a good engineer writes by hand to index the rows of a table once: one loop, no checks, Tantivy alone.
//!
//! Schema and tokenizers are viewd's, so that both do the same work; so are threads and memory.

use anyhow::{Context, Result};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tantivy::indexer::IndexWriterOptions;
use tantivy::schema::{Field, Schema};
use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
};
use tantivy::{Index, IndexWriter, TantivyDocument};
use viewd::event::time::{Timestamp, day};
use viewd::search::FilterKind;

use crate::corpora::Corpus;
use crate::task::{Done, Task, table};

/// What is looped over, and how texts are analysed.
pub struct Way {
    /// Not rows in memory.
    pub sqlite: bool,
    /// By Tantivy's own tokenizer, stemmer and stop words.
    pub default: bool,
}

/// Indexes the rows of a view; says how long the loop took.
pub fn run(task: &Task, way: &Way) -> Result<Done> {
    let sqlite = way.sqlite;
    let shape = task.shape()?;
    let plan = Plan::new(task.corpus, shape.schema(), &shape)?;
    let view = Connection::open(&task.view)?;
    let rows = if sqlite { Vec::new() } else { plan.rows(&view)? };

    let begun = std::time::Instant::now();
    let mut index = Index::create_in_dir(&task.folder, shape.schema().clone())?;
    index.set_tokenizers(shape.tokenizers());
    if way.default {
        for language in shape.texts().iter().map(|text| text.language) {
            let words = TextAnalyzer::builder(SimpleTokenizer::default())
                .filter(RemoveLongFilter::limit(255))
                .filter(LowerCaser);
            let (name, analyzer) = match language {
                None => ("viewd.none", words.build()),
                Some(_) => {
                    let stops = StopWordFilter::new(Language::English).context("stop words")?;
                    let stems = Stemmer::new(Language::English);
                    ("viewd.en", words.filter(stops).filter(stems).build())
                }
            };
            index.tokenizers().register(name, analyzer);
        }
    }
    let threads = std::thread::available_parallelism()?.get();
    let options = IndexWriterOptions::builder()
        .num_worker_threads(threads)
        .memory_budget_per_thread(usize::try_from(task.memory_bytes_max / 2)? / threads)
        .build();
    let mut writer: IndexWriter = index.writer_with_options(options)?;
    let mut documents = rows.len() as u64;
    for row in rows {
        writer.add_document(plan.document(row))?;
    }
    if sqlite {
        let mut statement = view.prepare(&plan.sql)?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            let read = (0..plan.fields.len()).map(|at| plan.cell(at, row.get_ref(at)?));
            writer.add_document(plan.document(read.collect::<Result<_>>()?))?;
            documents += 1;
        }
    }
    writer.commit()?;
    writer.wait_merging_threads()?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Done { seconds, documents })
}

/// A cell, as its field takes it.
enum Value {
    Absent,
    Text(String),
    Integer(i64),
    Real(f64),
}

/// The columns that are read, and the field of each.
struct Plan {
    sql: String,
    fields: Vec<(Field, Kind)>,
    hash: Field,
}

#[derive(Clone, Copy)]
enum Kind {
    Key,
    Words,
    Filter(FilterKind),
}

impl Plan {
    fn new(corpus: Corpus, schema: &Schema, shape: &viewd::search::Shape) -> Result<Self> {
        let (mut columns, mut fields) = (Vec::new(), Vec::new());
        let (_, table) = table(corpus)?;
        columns.push(table.columns[table.key[0]].name.clone());
        fields.push((schema.get_field("_key")?, Kind::Key));
        for text in shape.texts() {
            columns.push(text.name.clone());
            fields.push((schema.get_field(&format!("words:{}", text.name))?, Kind::Words));
        }
        for filter in shape.filters() {
            columns.push(filter.name.clone());
            let field = schema.get_field(&format!("filter:{}", filter.name))?;
            fields.push((field, Kind::Filter(filter.kind)));
        }
        let sql = format!("SELECT {} FROM {}", columns.join(", "), corpus.table());
        Ok(Self { sql, fields, hash: schema.get_field("_hash")? })
    }

    fn rows(&self, view: &Connection) -> Result<Vec<Vec<Value>>> {
        let mut statement = view.prepare(&self.sql)?;
        let mut rows = statement.query(())?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            let read = (0..self.fields.len()).map(|at| self.cell(at, row.get_ref(at)?));
            all.push(read.collect::<Result<Vec<_>>>()?);
        }
        Ok(all)
    }

    fn cell(&self, at: usize, cell: ValueRef<'_>) -> Result<Value> {
        Ok(match (cell, self.fields[at].1) {
            (ValueRef::Null, _) => Value::Absent,
            (ValueRef::Integer(number), _) => Value::Integer(number),
            (ValueRef::Real(number), _) => Value::Real(number),
            (ValueRef::Text(text), Kind::Key) => {
                Value::Text(serde_json::to_string(&[std::str::from_utf8(text)?])?)
            }
            (ValueRef::Text(text), Kind::Filter(FilterKind::Timestamp)) => {
                let time = Timestamp::parse(std::str::from_utf8(text)?).context("a timestamp")?;
                Value::Integer(time.0)
            }
            (ValueRef::Text(text), Kind::Filter(FilterKind::Date)) => {
                Value::Integer(day(std::str::from_utf8(text)?).context("a date")?)
            }
            (ValueRef::Text(text), _) => Value::Text(std::str::from_utf8(text)?.to_owned()),
            (ValueRef::Blob(_), _) => anyhow::bail!("bytes"),
        })
    }

    fn document(&self, row: Vec<Value>) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        let mut number = 0;
        for ((field, _), value) in self.fields.iter().zip(row) {
            match value {
                Value::Absent => {}
                Value::Text(text) => {
                    number += text.len() as u64;
                    document.add_text(*field, text);
                }
                Value::Integer(integer) => document.add_i64(*field, integer),
                Value::Real(real) => document.add_f64(*field, real),
            }
        }
        // Something in the field, at no cost: what viewd has there is checked, and is its own to pay for.
        document.add_u64(self.hash, number);
        document
    }
}
