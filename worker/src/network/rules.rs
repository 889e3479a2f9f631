//! Keeps one nftables table as wanted. What is right stays untouched, so connections go on; what
//! differs changes in one transaction, so no packet meets half of it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::os::fd::AsFd;
use weft_kernel::netns::Netns;
use weft_kernel::nft::Batch;
use weft_kernel::nft::Element;
use weft_kernel::nft::Nft;
use weft_kernel::nft::NftError;
use weft_kernel::nft::Set;
use weft_kernel::nft::Step;
use weft_kernel::nft::Table;
use weft_kernel::nft::Value;

/// What each set and map of a table holds.
pub type Elements = BTreeMap<String, BTreeSet<Element>>;

/// The fixed part of a table: its sets, chains and rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    table: Table,
    /// Rules cannot be compared with the kernel's, so a chain without rules carries their version.
    marker: String,
    sets: Vec<Set>,
    frame: Batch,
}

impl Ruleset {
    /// The ruleset whose sets, chains and rules `frame` adds to `table`. Give another `version`
    /// whenever the rules change: a daemon that finds an older one replaces the whole table.
    pub fn new(table: Table, version: u32, frame: Batch) -> Self {
        let mut sets = Vec::new();
        for step in frame.steps() {
            if let Step::AddSet(_, set) = step {
                sets.push(set.clone());
            }
        }
        Self {
            table,
            marker: format!("rules_{version}"),
            sets,
            frame,
        }
    }

    /// What the table holds, if it is there with this version's rules.
    fn observe(&self, nft: &mut Nft) -> Result<Option<Elements>, NftError> {
        if !nft.chains(&self.table)?.contains(&self.marker) {
            return Ok(None);
        }
        let mut found = Elements::new();
        for set in &self.sets {
            match nft.elements(&self.table, set) {
                Ok(elements) => found.insert(set.name.clone(), elements.into_iter().collect()),
                // Somebody else was at it: make it anew.
                Err(NftError::List { .. } | NftError::Shape { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(Some(found))
    }

    /// What leads from `seen` to `wanted`; elements whose key begins with one of `spared` stay. Pure.
    pub fn plan(
        &self,
        seen: Option<&Elements>,
        wanted: &Elements,
        spared: &BTreeSet<Value>,
    ) -> Batch {
        let mut batch = Batch::new();
        if seen.is_none() {
            batch.replace_table(&self.table);
            for step in self.frame.steps() {
                batch.push(step.clone());
            }
            let marker = weft_kernel::nft::Chain::regular(&self.marker);
            batch.add_chain(&self.table, marker);
        }
        let none = BTreeSet::new();
        for set in &self.sets {
            let old = seen.and_then(|seen| seen.get(&set.name)).unwrap_or(&none);
            let new = wanted.get(&set.name).unwrap_or(&none);
            let stays = |old: &&Element| old.key.first().is_some_and(|key| spared.contains(key));
            let gone = old.difference(new).filter(|old| !stays(old));
            let gone: Vec<_> = gone.map(|gone| Element::key(gone.key.clone())).collect();
            let added: Vec<_> = new.difference(old).cloned().collect();
            batch
                .delete_elements(&self.table, &set.name, gone)
                .add_elements(&self.table, &set.name, added);
        }
        batch
    }
}

/// Makes the table in `netns` hold what is wanted, and what is to be spared if it is there; says
/// whether anything had to change.
///
/// # Errors
/// When the kernel cannot be read, or refuses.
pub async fn sync(
    netns: &Netns,
    ruleset: Ruleset,
    wanted: Elements,
    spared: BTreeSet<Value>,
) -> Result<bool, NftError> {
    let netns = netns.clone();
    let work = move || {
        let mut nft = Nft::open_in(netns.as_fd())?;
        let seen = ruleset.observe(&mut nft)?;
        let batch = ruleset.plan(seen.as_ref(), &wanted, &spared);
        nft.commit(&batch).map(|()| !batch.is_empty())
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(NftError::Lost { source }),
    }
}
