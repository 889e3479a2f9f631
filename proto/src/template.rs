//! Texts with placeholders, as in Swarm mode: `{{.Node.Hostname}}`. A small language of its own:
//! everything that is no placeholder of [`Field`] is refused when it is written, by name. Pure.

use std::fmt;

/// A text with placeholders, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// `.Service.ID`
    ServiceId,
    /// `.Service.Name`
    ServiceName,
    /// `index .Service.Labels "KEY"`, and `.Service.Labels.KEY`
    ServiceLabel(String),
    /// `.Node.ID`
    NodeId,
    /// `.Node.Hostname`
    NodeHostname,
    /// `.Task.ID`
    TaskId,
    /// `.Task.Name`
    TaskName,
    /// `.Task.Slot`
    TaskSlot,
    /// `secret "TARGET"`: the data of the task's secret at this target.
    Secret(String),
    /// `config "TARGET"`: the same of a config.
    Config(String),
    /// `env "NAME"`: a variable of the task's environment.
    Env(String),
}

/// Where a text with placeholders stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a service's spec, which everybody may read: secrets are not for it.
    Spec,
    /// In the data of a secret or config.
    Data,
}

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It begins and does not end.
    #[error("the placeholder {{{{{0} is not closed: write }}}} after it")]
    Open(String),
    /// Nobody knows it.
    #[error(
        "the placeholder {{{{{0}}}}} is unknown: use .Service.ID, .Service.Name, index \
         .Service.Labels \"KEY\", .Node.ID, .Node.Hostname, .Task.ID, .Task.Name or .Task.Slot, and \
         in secrets and configs also secret \"TARGET\", config \"TARGET\" and env \"NAME\""
    )]
    Unknown(String),
    /// It would copy data to where it can be read.
    #[error(
        "the placeholder {{{{{0}}}}} is for secrets and configs only (--template): everybody who \
         may look at the service would read it here"
    )]
    Misplaced(String),
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// A placeholder that is not closed, not known, or not for this place.
    pub fn parse(text: &str, place: Place) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            let Some((inner, next)) = split_end(after) else {
                return Err(TemplateError::Open(after.chars().take(40).collect()));
            };
            pieces.push(Piece::Field(field(inner, place)?));
            rest = next;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Template(pieces))
    }

    /// What it asks for, in order.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(field),
            Piece::Text(_) => None,
        })
    }

    /// The text with each placeholder replaced by what `value` says of it.
    ///
    /// # Errors
    /// Those of `value`.
    pub fn expand<E>(
        &self,
        mut value: impl FnMut(&Field) -> Result<Vec<u8>, E>,
    ) -> Result<Vec<u8>, E> {
        let mut out = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(field) => out.extend(value(field)?),
            }
        }
        Ok(out)
    }
}

/// Up to the `}}` that ends a placeholder: one between quotes does not.
fn split_end(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        let rest = text.get(at..)?;
        match letter {
            '"' => quoted = !quoted,
            '\n' => return None,
            _ if !quoted => {
                if let Some(rest) = rest.strip_prefix("}}") {
                    return Some((text.get(..at)?, rest));
                }
            }
            _ => {}
        }
    }
    None
}

fn field(inner: &str, place: Place) -> Result<Field, TemplateError> {
    let shown = || inner.chars().take(60).collect::<String>();
    let words = words(inner).ok_or_else(|| TemplateError::Unknown(shown()))?;
    let words: Vec<(&str, bool)> = words.iter().map(|(w, q)| (w.as_str(), *q)).collect();
    let found = match words.as_slice() {
        [(".Service.ID", false)] => Field::ServiceId,
        [(".Service.Name", false)] => Field::ServiceName,
        [(".Node.ID", false)] => Field::NodeId,
        [(".Node.Hostname", false)] => Field::NodeHostname,
        [(".Task.ID", false)] => Field::TaskId,
        [(".Task.Name", false)] => Field::TaskName,
        [(".Task.Slot", false)] => Field::TaskSlot,
        [("index", false), (".Service.Labels", false), (key, true)] => {
            Field::ServiceLabel((*key).to_owned())
        }
        [("secret", false), (target, true)] => Field::Secret((*target).to_owned()),
        [("config", false), (target, true)] => Field::Config((*target).to_owned()),
        [("env", false), (name, true)] => Field::Env((*name).to_owned()),
        [(word, false)] => match word.strip_prefix(".Service.Labels.") {
            Some(key) if !key.is_empty() && !key.contains('.') => {
                Field::ServiceLabel(key.to_owned())
            }
            Some(_) | None => return Err(TemplateError::Unknown(shown())),
        },
        _ => return Err(TemplateError::Unknown(shown())),
    };
    match (&found, place) {
        (Field::Secret(_) | Field::Config(_) | Field::Env(_), Place::Spec) => {
            Err(TemplateError::Misplaced(shown()))
        }
        _ => Ok(found),
    }
}

/// Words between blanks, and texts between quotes (`true`), which have no escapes.
fn words(inner: &str) -> Option<Vec<(String, bool)>> {
    let mut words = Vec::new();
    let mut rest = inner.trim();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (word, after) = quoted.split_once('"')?;
            if word.contains('\\') || !(after.is_empty() || after.starts_with(' ')) {
                return None;
            }
            words.push((word.to_owned(), true));
            rest = after.trim_start();
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            if word.contains('"') {
                return None;
            }
            words.push((word.to_owned(), false));
            rest = after.trim_start();
        }
    }
    Some(words)
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::ServiceId => f.write_str(".Service.ID"),
            Field::ServiceName => f.write_str(".Service.Name"),
            Field::ServiceLabel(key) => write!(f, "index .Service.Labels {key:?}"),
            Field::NodeId => f.write_str(".Node.ID"),
            Field::NodeHostname => f.write_str(".Node.Hostname"),
            Field::TaskId => f.write_str(".Task.ID"),
            Field::TaskName => f.write_str(".Task.Name"),
            Field::TaskSlot => f.write_str(".Task.Slot"),
            Field::Secret(target) => write!(f, "secret {target:?}"),
            Field::Config(target) => write!(f, "config {target:?}"),
            Field::Env(name) => write!(f, "env {name:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, place: Place) -> Result<String, String> {
        let template = Template::parse(text, place).map_err(|error| error.to_string())?;
        let expanded = template.expand(|field| Ok::<_, ()>(format!("<{field}>").into_bytes()));
        Ok(String::from_utf8(expanded.unwrap()).unwrap())
    }

    #[test]
    fn placeholders_are_found_in_any_text() {
        for (text, expected) in [
            ("", ""),
            ("plain } text { here", "plain } text { here"),
            ("a{{.Task.Slot}}b", "a<.Task.Slot>b"),
            (
                "{{ .Node.Hostname }}{{.Node.ID}}",
                "<.Node.Hostname><.Node.ID>",
            ),
            (
                "{{.Service.Name}}.{{.Task.Name}}",
                "<.Service.Name>.<.Task.Name>",
            ),
            (
                "{{index .Service.Labels \"a.b}}\"}}",
                "<index .Service.Labels \"a.b}}\">",
            ),
            (
                "{{.Service.Labels.zone}}",
                "<index .Service.Labels \"zone\">",
            ),
            ("p={{secret \"pw\"}}\n", "p=<secret \"pw\">\n"),
            (
                "{{config \"c\"}}{{ env  \"X\" }}",
                "<config \"c\"><env \"X\">",
            ),
        ] {
            assert_eq!(shown(text, Place::Data).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (text, part) in [
            ("{{.Node.Platform}}", "{{.Node.Platform}} is unknown"),
            ("{{}}", "{{}} is unknown"),
            ("{{range .Services}}", "{{range .Services}} is unknown"),
            ("{{secret pw}}", "{{secret pw}} is unknown"),
            ("{{env \"a\" \"b\"}}", "is unknown"),
            ("{{.Service.Labels.}}", "is unknown"),
            ("a {{.Task.Slot", "is not closed"),
            ("a {{.Task.Slot\n}}", "is not closed"),
            ("{{secret \"a}}", "is not closed"),
        ] {
            let error = shown(text, Place::Data).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_spec_that_everybody_reads_has_no_secrets() {
        let error = shown("P={{secret \"pw\"}}", Place::Spec).unwrap_err();
        assert!(
            error.contains("{{secret \"pw\"}} is for secrets and configs only"),
            "{error}"
        );
        assert_eq!(
            shown("{{.Task.ID}}", Place::Spec).as_deref(),
            Ok("<.Task.ID>")
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(\\{\\{|\\}\\}|\"|\\.Task\\.|secret |\\PC|\n){0,12}") {
            let _ = Template::parse(&text, Place::Data);
        }

        #[test]
        fn a_text_without_placeholders_stays_as_it_is(text: String) {
            prop_assume!(!text.contains("{{"));
            let expanded = shown(&text, Place::Data);
            prop_assert_eq!(expanded.as_deref(), Ok(text.as_str()));
        }

        #[test]
        fn what_is_shown_of_a_field_reads_back_as_it(key in "[a-z.]{1,8}") {
            let fields = [Field::ServiceLabel(key.clone()), Field::Secret(key.clone()), Field::Env(key)];
            for field in fields {
                let template = Template::parse(&format!("{{{{{field}}}}}"), Place::Data).unwrap();
                prop_assert_eq!(template.fields().collect::<Vec<_>>(), [&field]);
            }
        }
    }
}
