//! The steps a batch is made of, as plain data.

use super::expr::Expr;
use super::object::Chain;
use super::object::Element;
use super::object::Set;
use super::object::Table;
use std::fmt;

/// One change. Complete in itself, so that a plan can be compared, logged and tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Makes a table, or leaves it as it is.
    AddTable(Table),
    /// Removes a table with everything in it; refused when it is not there.
    DeleteTable(Table),
    /// Removes all rules of all chains of a table; chains, sets and elements stay.
    FlushTable(Table),
    /// Makes a chain, or leaves it as it is (a base chain's policy is updated).
    AddChain(Table, Chain),
    /// Removes a chain; refused when it is not empty, jumped to, or not there.
    DeleteChain(Table, String),
    /// Removes all rules of a chain.
    FlushChain(Table, String),
    /// Appends a rule to a chain.
    AddRule {
        /// Where the chain is.
        table: Table,
        /// The chain's name.
        chain: String,
        /// What the rule says.
        exprs: Vec<Expr>,
        /// Shown in listings; at most 127 bytes.
        comment: Option<String>,
    },
    /// Makes a set or map, or leaves it as it is.
    AddSet(Table, Set),
    /// Removes a set or map; refused when a rule uses it or it is not there.
    DeleteSet(Table, String),
    /// Removes all elements of a set or map.
    FlushSet(Table, String),
    /// Adds elements; one that is there with other data is refused, with equal data kept.
    AddElements(Table, String, Vec<Element>),
    /// Removes elements by their keys; one that is not there is refused.
    DeleteElements(Table, String, Vec<Element>),
}

/// Reads like the nft command that would do the same.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTable(table) => write!(f, "add table {table}"),
            Self::DeleteTable(table) => write!(f, "delete table {table}"),
            Self::FlushTable(table) => write!(f, "flush table {table}"),
            Self::AddChain(table, chain) => write!(f, "add chain {table} {}", chain.name),
            Self::DeleteChain(table, chain) => write!(f, "delete chain {table} {chain}"),
            Self::FlushChain(table, chain) => write!(f, "flush chain {table} {chain}"),
            Self::AddRule { table, chain, .. } => write!(f, "add rule {table} {chain}"),
            Self::AddSet(table, set) => {
                let kind = if set.value.is_some() { "map" } else { "set" };
                write!(f, "add {kind} {table} {}", set.name)
            }
            Self::DeleteSet(table, set) => write!(f, "delete set {table} {set}"),
            Self::FlushSet(table, set) => write!(f, "flush set {table} {set}"),
            Self::AddElements(table, set, elements) => {
                write!(f, "add {} elements to {table} {set}", elements.len())
            }
            Self::DeleteElements(table, set, elements) => {
                write!(f, "delete {} elements from {table} {set}", elements.len())
            }
        }
    }
}
