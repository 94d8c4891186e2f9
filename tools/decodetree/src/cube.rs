//! Sets of words as cubes (mask and value), and the proofs over them.

use crate::parse::{Pattern, Table};

/// The words `w` with `w & mask == value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cube {
    pub mask: u32,
    pub value: u32,
}

impl Cube {
    pub const ALL: Self = Self { mask: 0, value: 0 };

    #[cfg(test)]
    pub fn contains(self, word: u32) -> bool {
        word & self.mask == self.value
    }

    pub fn disjoint(self, other: Self) -> bool {
        (self.value ^ other.value) & self.mask & other.mask != 0
    }

    /// Every word of `self` is one of `other`.
    pub fn within(self, other: Self) -> bool {
        other.mask & !self.mask == 0 && !self.disjoint(other)
    }

    pub fn and(self, other: Self) -> Option<Self> {
        (!self.disjoint(other)).then_some(Self { mask: self.mask | other.mask, value: self.value | other.value })
    }
}

/// What a search must stay out of: a cube less the exclusions inside it.
type Hole<'a> = (Cube, &'a [Cube]);

/// A word of `cube` that is in none of `holes`.
fn find(cube: Cube, holes: &[Hole<'_>]) -> Option<u32> {
    let Some((&(hole, inside), rest)) = holes.split_first() else {
        return Some(cube.value);
    };
    if cube.disjoint(hole) {
        return find(cube, rest);
    }
    // Outside the hole: it differs in a first bit, and agrees in those before.
    let mut prefix = cube;
    let mut bits = hole.mask & !cube.mask;
    while bits != 0 {
        let bit = bits & bits.wrapping_neg();
        bits &= !bit;
        let outside = Cube { mask: prefix.mask | bit, value: prefix.value | (!hole.value & bit) };
        if let Some(word) = find(outside, rest) {
            return Some(word);
        }
        prefix = Cube { mask: prefix.mask | bit, value: prefix.value | (hole.value & bit) };
    }
    // Inside the hole, where the hole itself has been cut out.
    inside.iter().find_map(|&excluded| find(prefix.and(excluded)?, rest))
}

/// A word that matches `p` and nothing of `before`.
fn reach(p: &Pattern, before: &[&Pattern]) -> Option<u32> {
    let mut holes: Vec<Hole<'_>> = p.exclusions.iter().map(|&c| (c, &[][..])).collect();
    holes.extend(before.iter().filter(|b| !b.cube.disjoint(p.cube)).map(|b| (b.cube, &b.exclusions[..])));
    find(p.cube, &holes)
}

/// A word that matches both.
fn common(a: &Pattern, b: &Pattern) -> Option<u32> {
    let holes: Vec<Hole<'_>> = a.exclusions.iter().chain(&b.exclusions).map(|&c| (c, &[][..])).collect();
    find(a.cube.and(b.cube)?, &holes)
}

/// Proves that no patterns overlap but in braces and that each can be reached; returns for each
/// pattern a word that decodes to it.
pub fn prove(table: &Table) -> Result<Vec<u32>, Vec<String>> {
    let mut faults = Vec::new();
    let mut witnesses = Vec::new();
    for (i, p) in table.patterns.iter().enumerate() {
        let mut before = Vec::new();
        for q in &table.patterns[..i] {
            if q.group.is_some() && q.group == p.group {
                before.push(q);
            } else if let Some(word) = common(p, q) {
                faults
                    .push(format!("{}: {} overlaps {} ({}), both match {word:#010x}: constrain one, or put them in braces", p.place, p.name, q.name, q.place));
            }
        }
        match reach(p, &before) {
            Some(word) => witnesses.push(word),
            None => faults.push(format!("{}: {} is unreachable: its constraints or the lines before it in the braces take every word", p.place, p.name)),
        }
    }
    if faults.is_empty() { Ok(witnesses) } else { Err(faults) }
}
