//! A bound of the steps of a validation.
//!
//! Alternatives that refer to themselves and fit the same values are tried again at each level of a document, so that the steps double
//! with each. The validator has no limit, but keywords of its user's own: one is added to each schema with other schemas in it, and
//! counts. When there were too many steps it unwinds, which is the only way out of the validator.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use jsonschema::{Keyword, ValidationError};
use serde_json::Value as Json;

/// The keyword that counts. No schema has it, and its value is a schema itself, so that a place which is none has no harm of it.
pub(super) const KEYWORD: &str = "reload-gate: step";

/// Keywords with schemas in them; each recursion goes through one.
const APPLICATORS: [&str; 20] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "contentSchema",
    "dependencies",
    "dependentSchemas",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// Keywords whose values are no schemas, whatever is in them.
const VALUES: [&str; 6] = ["const", "default", "dependentRequired", "enum", "examples", "required"];

/// Steps for each value of a document, besides those that each document has.
const OF_VALUE: u64 = 64;
const OF_DOCUMENT: u64 = 100_000;

thread_local! {
    /// Steps that the validation on this thread may still take.
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// A validation that took too many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySteps;

/// The counting keyword.
pub(super) struct Step;

impl Step {
    fn count() {
        LEFT.with(|left| match left.get().checked_sub(1) {
            Some(fewer) => left.set(fewer),
            // Unlike a panic it calls no hook.
            None => resume_unwind(Box::new(TooManySteps)),
        });
    }
}

impl<'i> Keyword<'i> for Step {
    fn validate(&self, _: &'i Json) -> Result<(), ValidationError<'i>> {
        Self::count();
        Ok(())
    }

    fn is_valid(&self, _: &'i Json) -> bool {
        Self::count();
        true
    }
}

/// Adds the keyword to each schema in `schema` with others in it.
pub(super) fn count_in(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(count_in),
        Json::Object(map) => {
            map.iter_mut().filter(|(key, _)| !VALUES.contains(&key.as_str())).for_each(|(_, value)| count_in(value));
            let is_schema = |key: &&str| map.get(*key).is_some_and(|value| value.is_object() || value.is_array());
            if APPLICATORS.iter().any(is_schema) {
                map.insert(KEYWORD.to_owned(), Json::Object(serde_json::Map::new()));
            }
        }
        _ => {}
    }
}

/// Runs a validation of a document.
///
/// # Errors
/// When it takes too many steps for a document of this size.
pub(super) fn bounded<T>(document: &Json, validation: impl FnOnce() -> T) -> Result<T, TooManySteps> {
    LEFT.set(values(document).saturating_mul(OF_VALUE).saturating_add(OF_DOCUMENT));
    // Nothing of the validator stays but its results, and they are dropped.
    catch_unwind(AssertUnwindSafe(validation)).map_err(|payload| match payload.downcast::<TooManySteps>() {
        Ok(too_many) => *too_many,
        Err(other) => resume_unwind(other),
    })
}

/// The number of values in a document.
fn values(document: &Json) -> u64 {
    match document {
        Json::Array(items) => items.iter().map(values).sum::<u64>() + 1,
        Json::Object(map) => map.values().map(values).sum::<u64>() + 1,
        _ => 1,
    }
}
