//! Many names into one set at once.

use std::collections::{BTreeMap, HashMap};

use super::grid::Grid;
use super::index::Index;
use super::name;
use super::set::HostSet;

/// Collects names and products of ranges, and makes a set of them in one go: adding one by one would sort each time.
#[derive(Debug, Default)]
pub(super) struct Builder {
    numbers: HashMap<Box<str>, usize>,
    templates: Vec<Template>,
    last: usize,
    // Space for the name at hand.
    text: String,
    indexes: Vec<Index>,
}

#[derive(Debug)]
struct Template {
    text: Box<str>,
    dimensions: usize,
    /// The numbers of single names, one vector after another.
    vectors: Vec<Index>,
    grids: Vec<Grid>,
}

impl Builder {
    pub(super) fn add_name(&mut self, name: &str) {
        let (mut text, mut indexes) = (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.indexes),
        );
        name::split(name, &mut text, &mut indexes);
        self.template(&text, indexes.len())
            .vectors
            .extend_from_slice(&indexes);
        (self.text, self.indexes) = (text, indexes);
    }

    pub(super) fn add_grid(&mut self, template: &str, grid: Grid) {
        let dimensions = name::dimensions(template);
        self.template(template, dimensions).grids.push(grid);
    }

    pub(super) fn build(self) -> HostSet {
        let grids = self
            .templates
            .into_iter()
            .map(|template| {
                let mut grids = template.grids;
                if grids.is_empty() || !template.vectors.is_empty() {
                    grids.push(Grid::from_vectors(&template.vectors, template.dimensions));
                }
                (template.text, Grid::union(grids))
            })
            .collect::<BTreeMap<_, _>>();
        HostSet::from_grids(grids)
    }

    fn template(&mut self, text: &str, dimensions: usize) -> &mut Template {
        // Names of one kind mostly come one after another.
        if self
            .templates
            .get(self.last)
            .is_none_or(|template| *template.text != *text)
        {
            self.last = match self.numbers.get(text) {
                Some(number) => *number,
                None => {
                    let number = self.templates.len();
                    self.numbers.insert(text.into(), number);
                    self.templates.push(Template {
                        text: text.into(),
                        dimensions,
                        vectors: Vec::new(),
                        grids: Vec::new(),
                    });
                    number
                }
            };
        }
        &mut self.templates[self.last]
    }
}
