//! Why a message is no domain value.

use std::fmt;

/// Which field of a message cannot be accepted, and why, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError {
    path: String,
    problem: String,
}

impl ConvertError {
    /// What is wrong, not yet said where: whoever knows the field adds it with
    /// [`ConvertError::within`].
    pub fn new(problem: impl Into<String>) -> Self {
        ConvertError {
            path: String::new(),
            problem: problem.into(),
        }
    }

    /// What is wrong with `field`.
    pub fn at(field: &str, problem: impl Into<String>) -> Self {
        ConvertError::new(problem).within(field)
    }

    /// The same problem seen from one level further out: `published` within `ports[0]` is
    /// `ports[0].published`.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.path = if self.path.is_empty() {
            outer.to_owned()
        } else {
            format!("{outer}.{}", self.path)
        };
        self
    }

    /// The field, from the outermost message inwards: `service.ports[0].published`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it, and the remedy where there is one.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

impl std::error::Error for ConvertError {}
