//! The fields of an index, and the hash of all that its documents depend on.
//!
//! Beside what words are searched in and what hits are filtered by, each document has its key, by which it is replaced,
//! and a hash of what it was made from, by which it is compared with its row. No content of a row is stored.

use sha2::{Digest as _, Sha256};
use tantivy::schema::{
    FAST, Field, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::TokenizerManager;

use super::analysis;
use crate::definition::{Language, Search, SearchField, Table};
use crate::row::ColumnType;

/// The version that Cargo.lock names: its analysis and its files are part of what an index is made with.
pub(super) const TANTIVY: &str = "0.27.0";
/// Of what is made of a row: fields, keys, hashes. Whoever changes that adds one, and indexes are made anew.
const LAYOUT: u32 = 1;

/// The fields that every document has. No column has a name that begins like these.
pub(super) const KEY: &str = "_key";
pub(super) const CONTENT: &str = "_hash";
const LONG_KEY: &str = "_long_key";

/// The name of the tokenizer that leaves a text as it is; Tantivy registers it by itself.
const RAW: &str = "raw";

/// One index as its definition has it.
#[derive(Clone, Debug)]
pub struct Shape {
    name: String,
    hash: String,
    schema: Schema,
    /// The key as text, or the hash of a long one.
    pub(super) key: Field,
    /// The text of a key that is too long for a term.
    pub(super) long_key: Field,
    /// The hash of all cells that the document was made from.
    pub(super) content: Field,
    pub(super) columns: Vec<Column>,
    /// Indices into the table's columns.
    pub(super) key_columns: Vec<usize>,
    texts: Vec<Text>,
    filters: Vec<Filter>,
}

/// A column of the table, for what is said of it.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) column_type: ColumnType,
}

/// What words are searched in.
#[derive(Clone, Debug)]
pub struct Text {
    /// Index into the table's columns.
    pub column: usize,
    pub name: String,
    pub weight: f64,
    pub language: Option<Language>,
    pub(super) field: Field,
}

/// What hits are filtered, ordered and counted by.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Index into the table's columns.
    pub column: usize,
    pub name: String,
    pub kind: FilterKind,
    pub(super) field: Field,
}

/// How the values of a filter are kept: all of them as fast fields, and absent where the cell is NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterKind {
    /// As it is, or the first 64 KiB of it; indexed too.
    Text,
    /// A decimal as its count, a boolean as 0 and 1.
    Integer,
    Real,
    /// Microseconds since 1970.
    Timestamp,
    /// Days since 1970.
    Date,
}

impl Shape {
    pub fn new(search: &Search, table: &Table) -> Self {
        let mut schema = Schema::builder();
        let raw = TextFieldIndexing::default()
            .set_tokenizer(RAW)
            .set_index_option(IndexRecordOption::Basic)
            .set_fieldnorms(false);
        let raw = TextOptions::default().set_indexing_options(raw) | FAST;
        let fast = NumericOptions::default().set_fast();
        let key = schema.add_text_field(KEY, raw.clone());
        let long_key = schema.add_bytes_field(LONG_KEY, STORED);
        let content = schema.add_u64_field(CONTENT, fast.clone());
        // By name: the order in a file is no more than that.
        let mut fields: Vec<&SearchField> = search.fields.iter().collect();
        fields.sort_by_key(|field| &table.columns[field.column].name);
        let mut filters: Vec<usize> = search.filters.clone();
        filters.sort_by_key(|&column| &table.columns[column].name);
        let texts = fields.into_iter().map(|field| {
            let name = table.columns[field.column].name.clone();
            let indexing = TextFieldIndexing::default()
                .set_tokenizer(&tokenizer(field.language))
                .set_index_option(IndexRecordOption::WithFreqsAndPositions);
            let options = TextOptions::default().set_indexing_options(indexing);
            let SearchField { column, weight, language } = *field;
            let field = schema.add_text_field(&format!("words:{name}"), options);
            Text { column, name, weight, language, field }
        });
        let texts = texts.collect();
        let filters = filters.into_iter().map(|column| {
            let name = table.columns[column].name.clone();
            let kind = FilterKind::of(table.columns[column].column_type);
            let path = format!("filter:{name}");
            let field = match kind {
                FilterKind::Text => schema.add_text_field(&path, raw.clone()),
                FilterKind::Real => schema.add_f64_field(&path, fast.clone()),
                _ => schema.add_i64_field(&path, fast.clone()),
            };
            Filter { column, name, kind, field }
        });
        let filters = filters.collect();
        let columns = table.columns.iter();
        let columns = columns
            .map(|column| Column { name: column.name.clone(), column_type: column.column_type });
        let mut shape = Self {
            name: search.name.clone(),
            hash: String::new(),
            schema: schema.build(),
            key,
            long_key,
            content,
            columns: columns.collect(),
            key_columns: table.key.clone(),
            texts,
            filters,
        };
        shape.hash = shape.hashed();
        shape
    }

    /// Of the index: what its folder is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of all that its documents depend on: an index with another one is made anew. Weights are not in it.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// By name.
    pub fn texts(&self) -> &[Text] {
        &self.texts
    }

    /// By name.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Tantivy keeps no tokenizer with an index: they are set before anything is done with it.
    pub fn tokenizers(&self) -> TokenizerManager {
        let tokenizers = TokenizerManager::default();
        for &Text { language, .. } in &self.texts {
            tokenizers.register(&tokenizer(language), analysis::analyzer(language));
        }
        tokenizers
    }

    fn hashed(&self) -> String {
        let mut content = format!("viewd index {LAYOUT}, {TANTIVY}, {}\n", analysis::version());
        content += &serde_json::to_string(&self.schema).expect("a schema is plain data");
        // The fields' names say what they are made from; this says what the cells there mean.
        let filters = self.filters.iter().map(|filter| filter.column);
        for column in self.key_columns.iter().copied().chain(filters) {
            let Column { name, column_type } = &self.columns[column];
            content += &format!("\n{name} {column_type}");
        }
        let hash = Sha256::digest(content);
        hash[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FilterKind {
    fn of(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Boolean => Self::Integer,
            ColumnType::Real => Self::Real,
            ColumnType::Timestamp => Self::Timestamp,
            ColumnType::Date => Self::Date,
            // Of these a definition lets only text be one.
            ColumnType::Text | ColumnType::Json | ColumnType::Bytes => Self::Text,
        }
    }
}

fn tokenizer(language: Option<Language>) -> String {
    format!("viewd.{}", language.map_or("none", Language::word))
}
