//! Which blocks a store has in the archive, and which metrics are in each: what is read of it is
//! chosen by this, before an object is opened.
//!
//! Names stand once, and each block has a bit for each. Written as JSON, packed by zstd, behind a
//! checksum.

use std::{io::Read, ops::Range};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::replaced::Replaced;
use crate::series::{Matcher, NAME};

/// Bytes of an index that is unpacked; more is none that was written here.
const MOST: u64 = 256 << 20;
const LEVEL: i32 = 3;

/// A block in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Milliseconds, the end excluded.
    pub range: Range<i64>,
    pub size: u64,
    pub crc: u32,
    /// One sample was kept in so many milliseconds; 0: all were, or the index was lost.
    pub resolution: i64,
    /// A bit for each name of the index; absent where the index was lost.
    names: Option<Vec<u8>>,
}

impl Archived {
    pub fn new(range: Range<i64>, size: u64, crc: u32) -> Self {
        Self { range, size, crc, resolution: 0, names: None }
    }

    /// The same, made so coarse.
    pub fn coarse(self, resolution: i64) -> Self {
        Self { resolution, ..self }
    }

    /// The object's name.
    pub fn name(&self) -> String {
        format!("{}-{}-{:08x}.parquet", self.range.start, self.range.end, self.crc)
    }

    /// What an object's name says.
    pub fn of_name(name: &str, size: u64) -> Option<Self> {
        let (range, crc) = name.strip_suffix(".parquet")?.rsplit_once('-')?;
        // A time before 1970 has a minus of its own.
        let at = range.get(1..)?.find('-')? + 1;
        let range = range[..at].parse().ok()?..range[at + 1..].parse().ok()?;
        let crc = u32::from_str_radix(crc, 16).ok()?;
        (range.start < range.end).then(|| Self::new(range, size, crc))
    }

    fn has(&self, name: usize) -> bool {
        let Some(bits) = &self.names else { return true };
        bits.get(name / 8).is_some_and(|byte| byte >> (name % 8) & 1 == 1)
    }
}

/// The index of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    names: Vec<String>,
    blocks: Vec<Archived>,
    /// What others have taken the place of, and is there for a while.
    replaced: Vec<Replaced>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    names: Vec<String>,
    blocks: Vec<WrittenBlock>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    replaced: Vec<Replaced>,
}

#[derive(Serialize, Deserialize)]
struct WrittenBlock {
    start: i64,
    end: i64,
    size: u64,
    crc: u32,
    #[serde(default, skip_serializing_if = "is_fine")]
    resolution: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<String>,
}

/// Former versions know nothing of it, and write nothing.
fn is_fine(resolution: &i64) -> bool {
    *resolution == 0
}

impl Index {
    pub fn blocks(&self) -> &[Archived] {
        &self.blocks
    }

    /// Objects that are there for who still reads them.
    pub fn replaced(&self) -> &[Replaced] {
        &self.replaced
    }

    /// Says since when others are in the place of these objects.
    pub fn replace(&mut self, names: &[String], at: i64) {
        self.replaced.extend(names.iter().map(|name| Replaced { name: name.clone(), at }));
    }

    /// Says nothing more of objects that were replaced but for these.
    pub fn retain_replaced(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.replaced.retain(|one| is_kept(&one.name));
    }

    /// Adds a block in the place of those that lie within its range, which are given.
    pub fn add(&mut self, mut block: Archived, names: Option<&[String]>) -> Vec<Archived> {
        let own = block.name();
        self.retain_replaced(|name| name != own);
        block.names = names.map(|names| {
            let mut bits = Vec::new();
            for name in names {
                let at = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
                    self.names.push(name.clone());
                    self.names.len() - 1
                });
                if bits.len() <= at / 8 {
                    bits.resize(at / 8 + 1, 0u8);
                }
                bits[at / 8] |= 1 << (at % 8);
            }
            bits
        });
        let within =
            |one: &Archived| block.range.start <= one.range.start && one.range.end <= block.range.end;
        let (gone, kept) = self.blocks.drain(..).partition(within);
        self.blocks = kept;
        self.blocks.push(block);
        self.blocks.sort_by_key(|one| one.range.start);
        gone
    }

    /// Says how coarse a block is.
    pub fn note(&mut self, block: &Archived, resolution: i64) {
        let is_it = |one: &&mut Archived| one.range == block.range && one.crc == block.crc;
        self.blocks.iter_mut().filter(is_it).for_each(|one| one.resolution = resolution);
    }

    /// Takes blocks out, and the names that none has any more.
    pub fn remove(&mut self, gone: impl Fn(&Archived) -> bool) {
        self.blocks.retain(|block| !gone(block));
        let used: Vec<bool> = (0..self.names.len())
            .map(|name| self.blocks.iter().any(|block| block.names.is_some() && block.has(name)))
            .collect();
        if used.iter().all(|used| *used) {
            return;
        }
        let old = std::mem::take(self);
        for block in old.blocks {
            let has = |at: &usize| block.names.is_some() && block.has(*at);
            let names: Vec<String> =
                (0..old.names.len()).filter(has).map(|at| old.names[at].clone()).collect();
            let known = block.names.is_some();
            self.add(block, known.then_some(names.as_slice()));
        }
        self.replaced = old.replaced;
    }

    /// The blocks that meet a range and may have a metric that matches.
    pub fn chosen(&self, matchers: &[Matcher], range: &Range<i64>) -> Vec<&Archived> {
        let of_name: Vec<_> = matchers.iter().filter(|matcher| matcher.name == NAME).collect();
        let meets = |block: &&Archived| block.range.start < range.end && block.range.end > range.start;
        let within = self.blocks.iter().filter(meets);
        if of_name.is_empty() {
            return within.collect();
        }
        let matches = |name: &String| of_name.iter().all(|matcher| matcher.matches(name));
        let names: Vec<usize> = (0..self.names.len()).filter(|at| matches(&self.names[*at])).collect();
        within.filter(|block| block.names.is_none() || names.iter().any(|name| block.has(*name))).collect()
    }

    pub fn write(&self) -> std::io::Result<Vec<u8>> {
        let block = |block: &Archived| WrittenBlock {
            start: block.range.start,
            end: block.range.end,
            size: block.size,
            crc: block.crc,
            resolution: block.resolution,
            names: block.names.as_ref().map(|bits| STANDARD.encode(bits)),
        };
        let written = Written {
            names: self.names.clone(),
            blocks: self.blocks.iter().map(block).collect(),
            replaced: self.replaced.clone(),
        };
        let packed = zstd::bulk::compress(&serde_json::to_vec(&written)?, LEVEL)?;
        let mut bytes = crc32fast::hash(&packed).to_le_bytes().to_vec();
        bytes.extend(packed);
        Ok(bytes)
    }

    /// # Errors
    /// The bytes are not what was written.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let (sum, packed) = bytes.split_first_chunk::<4>().ok_or("it is too short")?;
        if crc32fast::hash(packed) != u32::from_le_bytes(*sum) {
            return Err("its checksum is wrong".to_owned());
        }
        let mut text = Vec::new();
        zstd::Decoder::new(packed)
            .and_then(|unpacked| unpacked.take(MOST).read_to_end(&mut text))
            .map_err(|error| error.to_string())?;
        let written: Written = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let mut index = Self { names: written.names, blocks: Vec::new(), replaced: written.replaced };
        for one in written.blocks {
            let names = one.names.map(|bits| STANDARD.decode(bits)).transpose();
            let names = names.map_err(|error| error.to_string())?;
            index.blocks.push(Archived {
                range: one.start..one.end,
                size: one.size,
                crc: one.crc,
                resolution: one.resolution,
                names,
            });
        }
        index.blocks.sort_by_key(|one| one.range.start);
        Ok(index)
    }
}

/// Which of all stores' blocks are too old, or too much: those beyond the bytes that the newer
/// ones leave.
pub fn beyond<'a>(
    stores: impl Iterator<Item = (&'a str, &'a Index)>,
    before: i64,
    most_bytes: u64,
) -> Vec<(&'a str, &'a Archived)> {
    let mut all: Vec<_> =
        stores.flat_map(|(store, index)| index.blocks.iter().map(move |block| (store, block))).collect();
    all.sort_by_key(|(store, block)| (std::cmp::Reverse(block.range.end), *store));
    let mut kept = 0u64;
    all.retain(|(_, block)| {
        kept = kept.saturating_add(block.size);
        block.range.end <= before || kept > most_bytes
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::MatchOp;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn days() -> Index {
        let mut index = Index::default();
        for (day, list) in [["a", "b"], ["b", "c"], ["d", "b"]].iter().enumerate() {
            let start = day as i64 * 100;
            index.add(Archived::new(start..start + 100, 10, day as u32), Some(&names(list)));
        }
        index
    }

    fn starts(index: &Index, matchers: &[Matcher], range: Range<i64>) -> Vec<i64> {
        index.chosen(matchers, &range).iter().map(|block| block.range.start).collect()
    }

    #[test]
    fn blocks_are_chosen_by_time_and_name() {
        let mut index = days();
        let equal = |name| [Matcher::equal(NAME, name)];
        assert_eq!(starts(&index, &equal("b"), 0..300), [0, 100, 200]);
        assert_eq!(starts(&index, &equal("b"), 99..101), [0, 100]);
        assert_eq!(starts(&index, &equal("d"), 0..300), [200]);
        assert_eq!(starts(&index, &equal("e"), 0..300), [0i64; 0]);
        let one_of = [Matcher::new(NAME, MatchOp::Matches, "a|c").expect("valid")];
        assert_eq!(starts(&index, &one_of, 0..300), [0, 100]);
        assert_eq!(starts(&index, &[Matcher::equal("pod", "x")], 0..300), [0, 100, 200]);
        assert_eq!(Index::read(&index.write().expect("written")), Ok(index.clone()));
        index.remove(|block| block.range.start == 0);
        assert_eq!(index.names, ["b", "c", "d"]);
        assert_eq!(starts(&index, &equal("d"), 0..300), [200]);
        assert_eq!(starts(&index, &equal("b"), 0..300), [100, 200]);
        // What the index doesn't know may be in it.
        index.add(Archived::new(300..400, 10, 7), None);
        assert_eq!(starts(&index, &equal("e"), 0..900), [300]);
        assert_eq!(Index::read(&index.write().expect("written")), Ok(index.clone()));
        let gone = index.add(Archived::new(100..400, 10, 8), Some(&names(&["z"])));
        assert_eq!((gone.len(), starts(&index, &equal("z"), 0..900)), (3, vec![100]));
    }

    #[test]
    fn how_coarse_blocks_are_is_kept_and_absent_in_former_indexes() {
        let mut index = days();
        let former = index.write().expect("written");
        assert!(!String::from_utf8_lossy(&unpacked(&former)).contains("resolution"));
        assert_eq!(Index::read(&former), Ok(index.clone()));
        let second = index.blocks()[1].clone();
        index.note(&second, 60_000);
        let gone = index.add(Archived::new(200..300, 5, 9).coarse(300_000), Some(&names(&["d"])));
        assert_eq!((gone.len(), gone[0].crc), (1, 2), "it takes the place of the fine one");
        let read = Index::read(&index.write().expect("written")).expect("an index");
        assert_eq!(read.blocks().iter().map(|one| one.resolution).collect::<Vec<_>>(), [0, 60_000, 300_000]);
        index.remove(|block| block.range.start == 0);
        assert_eq!(index.blocks()[1].resolution, 300_000, "names are counted anew, the rest stays");
    }

    #[test]
    fn what_was_replaced_is_kept_and_absent_in_former_indexes() {
        let mut index = days();
        let former = index.write().expect("written");
        assert!(!String::from_utf8_lossy(&unpacked(&former)).contains("replaced"));
        let day = index.blocks()[1].clone();
        index.replace(&[day.name(), "another".to_owned()], 7);
        let read = Index::read(&index.write().expect("written")).expect("an index");
        assert_eq!(read, index);
        assert_eq!(read.replaced()[1], Replaced { name: "another".to_owned(), at: 7 });
        // Names are counted anew, and these stay.
        index.remove(|block| block.range.start == 200);
        assert_eq!(index.replaced(), read.replaced());
        // What is named again is no more replaced.
        index.add(day, None);
        assert_eq!(index.replaced().iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["another"]);
        index.retain_replaced(|name| name != "another");
        assert!(index.replaced().is_empty());
    }

    fn unpacked(index: &[u8]) -> Vec<u8> {
        zstd::decode_all(&index[4..]).expect("packed")
    }

    #[test]
    fn a_damaged_index_is_none() {
        let bytes = days().write().expect("written");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(Index::read(&damaged).is_err(), "byte {at}");
            assert!(Index::read(&bytes[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn names_of_objects_say_what_they_are() {
        for range in [-200..-100, -5..7, 0..86_400_000] {
            let one = Archived::new(range, 5, 0xab);
            assert_eq!(Archived::of_name(&one.name(), 5), Some(one));
        }
        for bad in ["index", "1-2.parquet", "2-1-00.parquet", "1-2-zz.parquet", "1-2-00000001.damaged"] {
            assert_eq!(Archived::of_name(bad, 5), None, "{bad}");
        }
    }

    #[test]
    fn the_oldest_of_all_stores_go_first() {
        let (one, two) = (days(), days());
        let all = || [("one", &one), ("two", &two)].into_iter();
        let found = |before, bytes| -> Vec<(&str, i64)> {
            beyond(all(), before, bytes)
                .into_iter()
                .map(|(store, block)| (store, block.range.start))
                .collect()
        };
        assert_eq!(found(0, u64::MAX), []);
        assert_eq!(found(100, u64::MAX), [("one", 0), ("two", 0)]);
        assert_eq!(found(0, 35), [("two", 100), ("one", 0), ("two", 0)]);
    }
}
