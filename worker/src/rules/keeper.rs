//! Brings one table of one namespace to what it should be.

use nix::errno::Errno;
use std::os::fd::AsFd;
use weft_kernel::netns::Netns;
use weft_kernel::netns::NetnsId;
use weft_kernel::nft::Nft;
use weft_kernel::nft::NftError;

use crate::rules::Contents;
use crate::rules::Ruleset;

/// Keeps one table. Remembers what it put there, so that large maps are read only after a start or
/// a failure; that the table is still there is looked up every time.
#[derive(Debug, Default)]
pub struct Keeper {
    known: Option<(NetnsId, Contents)>,
    rounds: u32,
}

/// Every so many rounds the elements are read again, in case somebody else changed them.
const ROUNDS_PER_CHECK: u32 = 30;

impl Keeper {
    /// Changes what differs from `wanted`, in one transaction. After an error nothing is taken for
    /// known, and the next call reads again.
    ///
    /// # Errors
    /// When the kernel cannot be read, or refuses.
    pub async fn settle(&mut self, netns: &Netns, wanted: Ruleset) -> Result<(), NftError> {
        let id = netns.id().ok();
        let known = self.known.take().filter(|(of, _)| Some(*of) == id);
        self.rounds = self.rounds.wrapping_add(1);
        let known = known.map(|(_, contents)| contents);
        let known = known.filter(|_| !self.rounds.is_multiple_of(ROUNDS_PER_CHECK));
        let netns = netns.clone();
        let work = move || settle(&netns, &wanted, known).map(|()| wanted.contents);
        let contents = match tokio::task::spawn_blocking(work).await {
            Ok(settled) => settled?,
            Err(source) => return Err(NftError::Lost { source }),
        };
        self.known = id.map(|id| (id, contents));
        Ok(())
    }
}

fn settle(netns: &Netns, wanted: &Ruleset, known: Option<Contents>) -> Result<(), NftError> {
    let mut nft = Nft::open_in(netns.as_fd())?;
    let chains = nft.chains(&wanted.table)?;
    if !wanted
        .expected_chains()
        .all(|chain| chains.contains(&chain))
    {
        return nft.commit(&wanted.whole());
    }
    if let Some(known) = known {
        let batch = wanted.difference(&known);
        match nft.commit(&batch) {
            // Somebody else changed the elements: look again.
            Err(NftError::Refused {
                source: Errno::ENOENT | Errno::EEXIST,
                ..
            }) => {}
            settled => return settled,
        }
    }
    match read(&mut nft, wanted) {
        Ok(found) => nft.commit(&wanted.difference(&found)),
        // Somebody else was at its sets: make it anew.
        Err(NftError::List { .. } | NftError::Shape { .. }) => nft.commit(&wanted.whole()),
        Err(error) => Err(error),
    }
}

fn read(nft: &mut Nft, of: &Ruleset) -> Result<Contents, NftError> {
    let mut found = Contents::new();
    for set in &of.sets {
        let elements = nft.elements(&of.table, set)?;
        let elements = elements.into_iter();
        let elements = elements.map(|element| (element.key, element.value));
        found.insert(set.name.clone(), elements.collect());
    }
    Ok(found)
}
