//! What is found in a document that can be read.

use std::collections::BTreeSet;

use super::names::{self, Sign};
use super::{CheckOptions, FindingKind, Findings, Rules};
use crate::contents::Contents;
use crate::document::Document;
use crate::epoch::{Wrapped, shown};
use crate::marker::{Marker, Stray};
use crate::{DocumentId, Recipients, RecipientsFile, Thumbprint};

impl Findings<'_> {
    /// What is wrong in a document that can be read.
    pub(super) fn document(
        &mut self,
        document: &Document,
        rules: Option<&Rules<'_>>,
        options: &CheckOptions,
    ) {
        for stray in Stray::all_of(document) {
            let kind = FindingKind::StrayMarker(stray.message.to_owned());
            self.add(stray.place, stray.path, kind);
        }
        if !self.values(document, options) {
            return;
        }
        match Contents::of(document) {
            Ok(contents) => self.sealed(&contents, rules),
            Err(error) => self.broken(&error),
        }
    }

    /// Values that are marked, broken or in plain text; tells whether all markers are whole.
    fn values(&mut self, document: &Document, options: &CheckOptions) -> bool {
        let mut is_whole = true;
        for scalar in document.scalars() {
            let kind = match Marker::of(document, scalar) {
                Err(error) => {
                    is_whole = false;
                    FindingKind::Broken(error.message().to_owned())
                }
                Ok(Some(Marker::ToSeal { .. })) => FindingKind::NotSealed,
                Ok(Some(Marker::Sealed(_))) => continue,
                Ok(None) => match names::sign_of(document, scalar, options) {
                    None => continue,
                    Some(Sign::Name) => FindingKind::Plaintext,
                    Some(Sign::PasswordInUrl) => FindingKind::PasswordInUrl,
                },
            };
            let path = document.path(scalar);
            self.add((scalar.line, scalar.column), Some(path), kind);
        }
        is_whole
    }

    /// Whether sealed values stand where they belong, and for whom they are sealed.
    fn sealed(&mut self, contents: &Contents<'_>, rules: Option<&Rules<'_>>) {
        let document = contents.document;
        let Some(block) = document.header() else {
            return;
        };
        if let Err(error) = DocumentId::of(document, None) {
            self.broken(&error.at(block.line, 1));
        }
        for value in contents.sealed() {
            let header = value.token.header();
            if header.path != value.path.as_str() || header.document != block.document {
                let why = format!(
                    "was sealed for another place: `{}` of `{}`",
                    shown(&header.path),
                    shown(&header.document)
                );
                let place = (value.scalar.line, value.scalar.column);
                self.add(place, Some(value.path.clone()), FindingKind::Broken(why));
            }
        }
        let Some((rules, recipients)) = rules else {
            return;
        };
        for epoch in contents.used_epochs() {
            if let Some(why) = difference(epoch, rules, recipients) {
                let kind = FindingKind::OtherRecipients(why);
                self.add((block.line, 1), None, kind);
            }
        }
    }
}

/// How the recipients of an epoch are others than those of the rules.
fn difference(epoch: &Wrapped, rules: &RecipientsFile, recipients: &Recipients) -> Option<String> {
    let wanted: BTreeSet<&Thumbprint> = recipients
        .iter()
        .map(|recipient| recipient.key.thumbprint())
        .collect();
    let there: BTreeSet<&Thumbprint> = epoch.recipients().collect();
    if wanted == there {
        return None;
    }
    let list = |one: &BTreeSet<&Thumbprint>, other: &BTreeSet<&Thumbprint>| {
        let names: Vec<String> = one
            .difference(other)
            .map(|key| rules.name_of(key).map_or(key.to_string(), str::to_owned))
            .collect();
        match names.is_empty() {
            true => "nobody".to_owned(),
            false => names.join(", "),
        }
    };
    Some(format!(
        "the epoch {} is not sealed for whom the rules say: missing {}, beyond them {}",
        epoch.id(),
        list(&wanted, &there),
        list(&there, &wanted)
    ))
}
