//! A batch: steps that take effect together or not at all.

use super::expr::Expr;
use super::object::Chain;
use super::object::Element;
use super::object::Set;
use super::object::Table;
use super::step::Step;

/// Changes that the kernel makes in one transaction: all of them, or none.
///
/// Within the batch later steps see what earlier ones did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    steps: Vec<Step>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The steps so far, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Appends a step.
    pub fn push(&mut self, step: Step) -> &mut Self {
        self.steps.push(step);
        self
    }

    /// [`Step::AddTable`]
    pub fn add_table(&mut self, table: &Table) -> &mut Self {
        self.push(Step::AddTable(table.clone()))
    }

    /// [`Step::DeleteTable`]
    pub fn delete_table(&mut self, table: &Table) -> &mut Self {
        self.push(Step::DeleteTable(table.clone()))
    }

    /// Starts a table afresh, whether it was there or not: what the following steps put into it
    /// replaces all it had. Packets see the old content until the new one is whole.
    pub fn replace_table(&mut self, table: &Table) -> &mut Self {
        self.add_table(table).delete_table(table).add_table(table)
    }

    /// Removes a table, whether it was there or not.
    pub fn ensure_no_table(&mut self, table: &Table) -> &mut Self {
        self.add_table(table).delete_table(table)
    }

    /// [`Step::FlushTable`]
    pub fn flush_table(&mut self, table: &Table) -> &mut Self {
        self.push(Step::FlushTable(table.clone()))
    }

    /// [`Step::AddChain`]
    pub fn add_chain(&mut self, table: &Table, chain: Chain) -> &mut Self {
        self.push(Step::AddChain(table.clone(), chain))
    }

    /// [`Step::DeleteChain`]
    pub fn delete_chain(&mut self, table: &Table, chain: &str) -> &mut Self {
        self.push(Step::DeleteChain(table.clone(), chain.to_owned()))
    }

    /// [`Step::FlushChain`]
    pub fn flush_chain(&mut self, table: &Table, chain: &str) -> &mut Self {
        self.push(Step::FlushChain(table.clone(), chain.to_owned()))
    }

    /// [`Step::AddRule`], without a comment.
    pub fn add_rule(
        &mut self,
        table: &Table,
        chain: &str,
        exprs: impl Into<Vec<Expr>>,
    ) -> &mut Self {
        self.push(Step::AddRule {
            table: table.clone(),
            chain: chain.to_owned(),
            exprs: exprs.into(),
            comment: None,
        })
    }

    /// [`Step::AddSet`], also for maps.
    pub fn add_set(&mut self, table: &Table, set: &Set) -> &mut Self {
        self.push(Step::AddSet(table.clone(), set.clone()))
    }

    /// [`Step::DeleteSet`]
    pub fn delete_set(&mut self, table: &Table, set: &str) -> &mut Self {
        self.push(Step::DeleteSet(table.clone(), set.to_owned()))
    }

    /// [`Step::FlushSet`]
    pub fn flush_set(&mut self, table: &Table, set: &str) -> &mut Self {
        self.push(Step::FlushSet(table.clone(), set.to_owned()))
    }

    /// [`Step::AddElements`]; nothing when there are none.
    pub fn add_elements(
        &mut self,
        table: &Table,
        set: &str,
        elements: impl Into<Vec<Element>>,
    ) -> &mut Self {
        let elements = elements.into();
        if elements.is_empty() {
            return self;
        }
        self.push(Step::AddElements(table.clone(), set.to_owned(), elements))
    }

    /// [`Step::DeleteElements`]; nothing when there are none.
    pub fn delete_elements(
        &mut self,
        table: &Table,
        set: &str,
        elements: impl Into<Vec<Element>>,
    ) -> &mut Self {
        let elements = elements.into();
        if elements.is_empty() {
            return self;
        }
        self.push(Step::DeleteElements(
            table.clone(),
            set.to_owned(),
            elements,
        ))
    }
}
