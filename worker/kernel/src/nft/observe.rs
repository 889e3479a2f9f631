//! Reading what is there, so that a reconciler can compare.

use super::encode::GET_CHAIN;
use super::encode::GET_ELEMENTS;
use super::encode::GET_SET;
use super::encode::GET_TABLE;
use super::error::NftError;
use super::field;
use super::field::Field;
use super::handle::Nft;
use super::object::Element;
use super::object::Family;
use super::object::Set;
use super::object::Table;
use super::wire::Attributes;

impl Nft {
    /// All tables of the namespace, of the families we know.
    pub fn tables(&mut self) -> Result<Vec<Table>, NftError> {
        self.list(
            "tables",
            (GET_TABLE, 0),
            |_| {},
            |found, message| {
                let Some((family, attributes)) = message.object() else {
                    return;
                };
                if let (Some(family), Some(name)) =
                    (Family::from_number(family), attributes.text(1))
                {
                    found.push(Table { family, name });
                }
            },
        )
    }

    /// Names of a table's chains; none when the table is not there.
    pub fn chains(&mut self, table: &Table) -> Result<Vec<String>, NftError> {
        self.names(&format!("chains of {table}"), GET_CHAIN, 3, table)
    }

    /// Names of a table's sets and maps, without the anonymous ones; none when the table is not
    /// there.
    pub fn sets(&mut self, table: &Table) -> Result<Vec<String>, NftError> {
        let mut names = self.names(&format!("sets of {table}"), GET_SET, 2, table)?;
        names.retain(|name| !name.starts_with("__"));
        Ok(names)
    }

    /// All elements of a set or map, read by its fields, in no particular order.
    ///
    /// # Errors
    /// [`NftError::List`] with ENOENT when it is not there, [`NftError::Shape`] when it is made
    /// of other fields.
    pub fn elements(&mut self, table: &Table, set: &Set) -> Result<Vec<Element>, NftError> {
        let what = format!("{table} {}", set.name);
        let request = (GET_ELEMENTS, table.family.number());
        let name = |wire: &mut super::wire::Wire| {
            wire.text(1, &table.name);
            wire.text(2, &set.name);
        };
        let found = self.list(&what, request, name, |found, message| {
            let list = message
                .object()
                .and_then(|(_, attributes)| attributes.nested(3));
            for (_, element) in list.into_iter().flatten() {
                found.push(read(set, super::wire::attributes(element)));
            }
        })?;
        found
            .into_iter()
            .collect::<Option<_>>()
            .ok_or(NftError::Shape { what })
    }

    fn names(
        &mut self,
        what: &str,
        kind: u16,
        name: u16,
        table: &Table,
    ) -> Result<Vec<String>, NftError> {
        let request = (kind, table.family.number());
        self.list(
            what,
            request,
            |_| {},
            |found, message| {
                let Some((_, attributes)) = message.object() else {
                    return;
                };
                if attributes.text(1).as_deref() == Some(&table.name) {
                    found.extend(attributes.text(name));
                }
            },
        )
    }
}

fn read(set: &Set, attributes: Attributes<'_>) -> Option<Element> {
    let key = part(&set.key, attributes.nested(1)?)?;
    let value = match &set.value {
        Some(fields) => part(fields, attributes.nested(2)?)?,
        None => Vec::new(),
    };
    Some(Element { key, value })
}

fn part(fields: &[Field], data: Attributes<'_>) -> Option<Vec<super::value::Value>> {
    let bytes = data.get(1)?;
    if bytes.len() != field::width(fields) {
        return None;
    }
    field::split(fields, bytes)
}
