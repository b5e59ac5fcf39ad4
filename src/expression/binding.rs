//! What a handler lends to an expression besides the event: the values of variables, and rows.

use super::value::Value;

/// What one evaluation sees besides the event.
///
/// The values are built ones, or parts of the event that the expression is evaluated for.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    /// The values of variables by their slot (`Scope::variables`); those beyond the slice are null.
    pub variables: &'a [Value],
    /// None where the scope has no tables.
    pub rows: Option<&'a dyn Lookup>,
}

/// The rows that `lookup` gives.
pub trait Lookup {
    /// The row of a table (its index in `Scope::tables`) with this key, as an object, or null if there is none.
    ///
    /// The key has as many values as the scope says, none of them null. An error is one of the expression, such as a
    /// key of another type: `?` and `try` catch it. Whoever can fail for another reason notes that, and its caller
    /// asks after the evaluation.
    ///
    /// Making the row's value counts against the evaluation's budget, whose end unwinds through this call.
    fn lookup(&self, table: usize, key: Vec<Value>) -> Result<Value, String>;
}

impl<'a> Bindings<'a> {
    /// Of an expression that sees the event and nothing else.
    pub const NONE: Self = Self { variables: &[], rows: None };

    /// The value of a variable.
    #[inline]
    pub(super) fn variable(&self, slot: usize) -> &'a Value {
        self.variables.get(slot).unwrap_or(&Value::Null)
    }
}
