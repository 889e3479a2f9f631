//! One nftables table as it should be, and the change that leads there from what was found. What is
//! right stays untouched, so connections go on; what differs changes in one transaction, so no packet
//! meets half of it. All pure but the [`Keeper`].

mod keeper;
pub mod slots;

pub use keeper::Keeper;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use weft_kernel::nft::Batch;
use weft_kernel::nft::Chain;
use weft_kernel::nft::Element;
use weft_kernel::nft::Expr;
use weft_kernel::nft::Set;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;

/// Elements of a set or map: key to data, empty in a set.
pub type Elements = BTreeMap<Vec<Value>, Vec<Value>>;
/// Elements of all sets and maps of a table.
pub type Contents = BTreeMap<String, Elements>;

/// A table: chains and rules that stay as they are, and sets whose elements come and go.
#[derive(Clone, Debug)]
pub struct Ruleset {
    /// Its name.
    pub table: Table,
    chains: Vec<Chain>,
    rules: Vec<(String, Vec<Expr>)>,
    /// Its sets and maps.
    pub sets: Vec<Set>,
    /// What is in them.
    contents: Contents,
    spared: BTreeSet<Value>,
}

impl Ruleset {
    /// An empty table.
    pub fn new(table: Table) -> Self {
        Self {
            table,
            chains: Vec::new(),
            rules: Vec::new(),
            sets: Vec::new(),
            contents: Contents::new(),
            spared: BTreeSet::new(),
        }
    }

    /// Adds a set or map with its elements.
    pub fn set(&mut self, set: Set, elements: impl IntoIterator<Item = (Vec<Value>, Vec<Value>)>) {
        let elements = elements.into_iter().collect();
        self.contents.insert(set.name.clone(), elements);
        self.sets.push(set);
    }

    /// Adds elements to sets and maps that were added already.
    pub fn fill(&mut self, contents: Contents) {
        for (set, elements) in contents {
            self.contents.entry(set).or_default().extend(elements);
        }
    }

    /// Elements whose key begins with one of these stay if they are there, wanted or not.
    pub fn spare(&mut self, first: BTreeSet<Value>) {
        self.spared.extend(first);
    }

    /// Adds a chain with its rules.
    pub fn chain(&mut self, chain: Chain, rules: impl IntoIterator<Item = Vec<Expr>>) {
        let name = &chain.name;
        let rules = rules.into_iter().map(|rule| (name.clone(), rule));
        self.rules.extend(rules);
        self.chains.push(chain);
    }

    /// The chains that are there when the table is as an equal ruleset made it. One is empty and
    /// only tells by its name of what rules it was made with: another version of this program, or
    /// another number of the node, makes other ones.
    pub fn expected_chains(&self) -> impl Iterator<Item = String> {
        let chains = self.chains.iter().map(|chain| chain.name.clone());
        chains.chain([self.fingerprint()])
    }

    fn fingerprint(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.chains, &self.rules, &self.sets).hash(&mut hasher);
        format!("made_{:016x}", hasher.finish())
    }

    /// The whole table anew, in place of whatever has its name. Connections that are tracked go on.
    pub fn whole(&self) -> Batch {
        let mut batch = Batch::new();
        batch.replace_table(&self.table);
        for set in &self.sets {
            batch.add_set(&self.table, set);
        }
        for chain in &self.chains {
            batch.add_chain(&self.table, chain.clone());
        }
        batch.add_chain(&self.table, Chain::regular(self.fingerprint()));
        for (chain, rule) in &self.rules {
            batch.add_rule(&self.table, chain, rule.clone());
        }
        for (set, elements) in &self.contents {
            batch.add_elements(&self.table, set, pairs(elements.iter()));
        }
        batch
    }

    /// What leads from the elements found to those wanted; nothing when they are the same.
    pub fn difference(&self, found: &Contents) -> Batch {
        let none = Elements::new();
        let mut batch = Batch::new();
        for (set, wanted) in &self.contents {
            let found = found.get(set).unwrap_or(&none);
            let spared =
                |key: &[Value]| key.first().is_some_and(|first| self.spared.contains(first));
            let stale = found
                .iter()
                .filter(|(key, data)| wanted.get(*key) != Some(data) && !spared(key));
            let stale: Vec<_> = stale.map(|(key, _)| Element::key(key.clone())).collect();
            batch.delete_elements(&self.table, set, stale);
            let missing = wanted
                .iter()
                .filter(|(key, data)| found.get(*key) != Some(data));
            batch.add_elements(&self.table, set, pairs(missing));
        }
        batch
    }
}

fn pairs<'a>(elements: impl Iterator<Item = (&'a Vec<Value>, &'a Vec<Value>)>) -> Vec<Element> {
    elements
        .map(|(key, data)| Element::pair(key.clone(), data.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_kernel::nft::Family;
    use weft_kernel::nft::Field;
    use weft_kernel::nft::Step;

    fn ports(of: &[(u16, u32)]) -> Ruleset {
        let mut ruleset = Ruleset::new(Table::new(Family::Inet, "weft"));
        let map = Set::map("m", [Field::DestinationPort], [Field::Mark]);
        let pair =
            |(port, mark): &(u16, u32)| (vec![Value::Port(*port)], vec![Value::Number(*mark)]);
        ruleset.set(map, of.iter().map(pair));
        ruleset
    }

    #[test]
    fn only_what_differs_is_changed_and_removed_first() {
        let (old, new) = (
            ports(&[(1, 1), (2, 2), (3, 3)]),
            ports(&[(2, 2), (3, 4), (5, 5)]),
        );
        let batch = new.difference(&old.contents);
        let [
            Step::DeleteElements(_, _, gone),
            Step::AddElements(_, _, added),
        ] = batch.steps()
        else {
            panic!("{batch:?}");
        };
        let keys = |elements: &[Element]| -> Vec<_> {
            elements.iter().map(|element| element.key.clone()).collect()
        };
        assert_eq!(keys(gone), [[Value::Port(1)], [Value::Port(3)]]);
        assert_eq!(keys(added), [[Value::Port(3)], [Value::Port(5)]]);
        assert!(new.difference(&new.contents).is_empty());
    }

    #[test]
    fn what_is_spared_stays_though_nobody_wants_it() {
        let (old, mut new) = (ports(&[(1, 1), (2, 2), (3, 3)]), ports(&[(3, 3)]));
        new.spare(BTreeSet::from([Value::Port(1)]));
        let batch = new.difference(&old.contents);
        let [Step::DeleteElements(_, _, gone)] = batch.steps() else {
            panic!("{batch:?}");
        };
        assert_eq!(gone.len(), 1);
        assert_eq!(gone[0].key, [Value::Port(2)]);
    }

    #[test]
    fn a_table_with_other_rules_is_told_by_a_chain_but_not_one_with_other_elements() {
        let (one, mut other) = (ports(&[(1, 1)]), ports(&[(2, 2)]));
        assert!(one.expected_chains().eq(other.expected_chains()));
        other.chain(Chain::regular("c"), [vec![Expr::accept()]]);
        assert!(!one.expected_chains().eq(other.expected_chains()));
    }
}
