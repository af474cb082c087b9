//! Ranks on threads of this process, with a model that is a function of the tokens it was fed.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use runabout_engine::LanguageModel;
use runabout_engine::model::{
    MemoryUse, ModelDescription, SampleRequest, Sampled, SlotCopy, SlotCost, SlotId, Span, StepCost,
    StepError, n_accepted,
};
use runabout_text::{SamplingParams, TokenId, TokenSet};

use crate::frames;
use crate::link::Links;
use crate::message::{Command, Ready, Reply, Report};
use crate::model::RankedModel;
use crate::post::Post;

/// Draws the sum of the tokens that a slot holds, with the parameters that it was given.
struct Toy {
    description: ModelDescription,
    slots: HashMap<SlotId, Vec<TokenId>>,
    n_opened: u32,
    /// A step that feeds this token fails.
    unlucky: Option<TokenId>,
    draws: Draws,
}

/// How all ranks come to draw what rank 0 draws.
enum Draws {
    /// Tells the other ranks.
    Own(Vec<Sender<Vec<TokenId>>>),
    OfRank0(Receiver<Vec<TokenId>>),
}

impl Toy {
    fn new(weights_bytes: u64) -> Self {
        let description = ModelDescription {
            architecture: "toy".to_owned(),
            context_length: 100,
            vocabulary_size: 1000,
            weights_bytes,
            slot_cost: SlotCost { fixed_bytes: 0, bytes_per_token: 1, checkpoint_bytes: 0, step_tokens: 1 },
            step_cost: StepCost { fixed_bytes: 0, bytes_per_token: 0, bytes_per_draw: 0 },
            can_shift: true,
            quantization_bits: None,
            device: "toy".to_owned(),
            precision: None,
        };
        Self { description, slots: HashMap::new(), n_opened: 0, unlucky: None, draws: Draws::Own(Vec::new()) }
    }

    fn draw(held: &[TokenId], request: &SampleRequest<'_>) -> Sampled {
        let penalized: TokenId = request.history.iter().rev().take(request.params.n_penalized()).sum();
        let token = (held.iter().sum::<TokenId>() + penalized) % 1000;
        let token = request.allowed_first().and_then(|it| it.iter().next()).unwrap_or(token);
        Sampled { token, own_logprob: -1.0, logprobs: None }
    }
}

impl LanguageModel for Toy {
    fn description(&self) -> &ModelDescription {
        &self.description
    }

    fn open_slot(&mut self) -> SlotId {
        let slot = SlotId(self.n_opened);
        self.n_opened += 1;
        self.slots.insert(slot, Vec::new());
        slot
    }

    fn resume_point(&self, _: SlotId, n_tokens: usize) -> usize {
        n_tokens
    }

    fn rewind_slot(&mut self, slot: SlotId, n_tokens: usize) -> usize {
        self.slots.get_mut(&slot).unwrap().truncate(n_tokens);
        n_tokens
    }

    fn drop_checkpoint(&mut self, _: SlotId, _: usize) {}

    fn slot_room(&self, slot: SlotId) -> usize {
        self.slots[&slot].len()
    }

    fn fit_slot(&mut self, _: SlotId) {}

    fn close_slot(&mut self, slot: SlotId) {
        self.slots.remove(&slot).unwrap();
    }

    fn copy_slot(&mut self, from: SlotId, n_tokens: usize) -> Result<SlotCopy, StepError> {
        let held = self.slots[&from][..n_tokens].to_vec();
        let slot = self.open_slot();
        self.slots.insert(slot, held);
        Ok(SlotCopy { slot, n_tokens })
    }

    fn append_shifted(&mut self, slot: SlotId, from: SlotId, tokens: Range<usize>) -> Result<(), StepError> {
        let moved = self.slots[&from][tokens].to_vec();
        self.slots.get_mut(&slot).unwrap().extend(moved);
        Ok(())
    }

    fn drop_tokens(&mut self, _: SlotId, _: Range<usize>) -> Result<(), StepError> {
        Err(StepError { message: "nothing can be dropped".to_owned() })
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<Vec<Sampled>>, StepError> {
        if spans.iter().any(|it| it.tokens.iter().any(|it| Some(*it) == self.unlucky)) {
            return Err(StepError { message: "out of luck".to_owned() });
        }
        let known = |span: &Span<'_>| span.tokens.len() - span.n_drafted;
        let mut drawn = Vec::new();
        for span in spans {
            let held = [&self.slots[&span.slot], &span.tokens[..known(span)]].concat();
            for n in span.sample.iter().flat_map(|_| 0..=span.n_drafted) {
                let after = [&held, &span.tokens[known(span)..][..n]].concat();
                drawn.push(Self::draw(&after, &span.sample.unwrap().after_drafts(n, span.n_drafted)));
            }
        }
        let mut drawn = self.draws.agree(drawn).into_iter();
        let mut all = Vec::new();
        for span in spans {
            let drafts = &span.tokens[known(span)..];
            let mut of_span: Vec<_> =
                drawn.by_ref().take(span.sample.map_or(0, |_| drafts.len() + 1)).collect();
            let n = n_accepted(drafts, of_span.iter().map(|it| it.token));
            of_span.truncate(n + 1);
            self.slots.get_mut(&span.slot).unwrap().extend(&span.tokens[..known(span) + n]);
            all.push(of_span);
        }
        Ok(all)
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse { active_bytes: 7, ..MemoryUse::default() }
    }
}

impl Draws {
    fn agree(&self, drawn: Vec<Sampled>) -> Vec<Sampled> {
        if drawn.is_empty() {
            return drawn;
        }
        match self {
            Self::Own(others) => {
                let tokens: Vec<_> = drawn.iter().map(|it| it.token).collect();
                for it in others {
                    it.send(tokens.clone()).unwrap();
                }
                drawn
            }
            Self::OfRank0(tokens) => {
                let tokens = tokens.recv().unwrap();
                drawn.into_iter().zip(tokens).map(|(it, token)| Sampled { token, ..it }).collect()
            }
        }
    }
}

/// What a test's rank does, with its connection.
type Life = Box<dyn FnOnce(UnixStream) + Send>;

fn obeying(mut toy: Toy) -> Life {
    Box::new(move |stream| {
        let post = Post::open(stream.try_clone().unwrap(), stream, || {}).unwrap();
        let ready = Ready { description: toy.description.clone(), identity: String::new() };
        // Fails if the test ends first.
        let _ = post.obey(ready, &mut toy);
    })
}

/// A model in these ranks.
fn model(ranks: Vec<(ModelDescription, Life)>) -> (RankedModel, Vec<JoinHandle<()>>) {
    let mut links = Links::new();
    let (mut threads, mut ready) = (Vec::new(), Vec::new());
    for (description, life) in ranks {
        let (here, there) = UnixStream::pair().unwrap();
        links.add("a thread", None, here.try_clone().unwrap(), here).unwrap();
        threads.push(thread::spawn(move || life(there)));
        ready.push(Ready { description, identity: String::new() });
    }
    (RankedModel::new(links, ready), threads)
}

/// A model in these ranks, which draw the same tokens.
fn toys(mut toys: Vec<Toy>) -> RankedModel {
    let mut others = Vec::new();
    for toy in &mut toys[1..] {
        let (send, receive) = channel();
        others.push(send);
        toy.draws = Draws::OfRank0(receive);
    }
    toys[0].draws = Draws::Own(others);
    model(toys.into_iter().map(|it| (it.description.clone(), obeying(it))).collect()).0
}

fn request(params: &SamplingParams) -> SampleRequest<'_> {
    SampleRequest { params, history: &[], n_generated: 0, seed: 0, top_logprobs: None, allowed: &[] }
}

fn span<'a>(slot: SlotId, tokens: &'a [TokenId], sample: Option<SampleRequest<'a>>) -> Span<'a> {
    Span { slot, tokens, n_drafted: 0, sample, checkpoint: false }
}

/// Why the model is lost by this call.
fn lost<T>(call: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).err().expect("the model is lost");
    *panic.downcast::<String>().unwrap()
}

/// What every call of the contract gives with a model.
fn use_all(model: &mut dyn LanguageModel) -> Vec<String> {
    let penalized =
        SamplingParams { presence_penalty: 1.0, repetition_context_size: 2, ..SamplingParams::default() };
    let history: Vec<TokenId> = (1..=9).collect();
    let mut allowed = TokenSet::default();
    allowed.insert(77);
    let allowed = [allowed];
    let (a, b) = (model.open_slot(), model.open_slot());
    let mut seen = Vec::new();
    let greedy = SamplingParams::default();
    let mut step = |model: &mut dyn LanguageModel, spans: &[Span<'_>]| {
        seen.push(format!("{:?}", model.step(spans).unwrap()));
    };
    step(model, &[span(a, &[1, 2, 3], None), span(b, &[5], Some(request(&greedy)))]);
    let drafted = Span { n_drafted: 2, ..span(a, &[4, 10, 999], Some(request(&greedy))) };
    step(model, &[drafted]);
    step(model, &[span(b, &[1], Some(SampleRequest { history: &history, ..request(&penalized) }))]);
    step(model, &[span(b, &[1], Some(SampleRequest { allowed: &allowed, ..request(&greedy) }))]);
    let copy = model.copy_slot(a, 2).unwrap();
    seen.push(format!("{copy:?} {}", model.resume_point(a, 3)));
    model.append_shifted(copy.slot, b, 0..2).unwrap();
    seen.push(model.drop_tokens(a, 0..1).unwrap_err().message);
    seen.push(format!("{} {}", model.slot_room(copy.slot), model.rewind_slot(copy.slot, 1)));
    model.fit_slot(a);
    model.drop_checkpoint(a, 1);
    model.close_slot(b);
    seen.push(format!("{:?} {:?}", model.open_slot(), model.memory()));
    seen
}

#[test]
fn a_model_in_three_ranks_does_what_one_alone_does() {
    let alone = use_all(&mut Toy::new(1));
    assert_eq!(use_all(&mut toys(vec![Toy::new(1), Toy::new(2), Toy::new(3)])), alone);
    // Drafts were accepted and refused, a penalty and a constraint had their effect.
    let has = |i: usize, token: &str| alone[i].contains(&format!("token: {token},"));
    assert!(has(1, "10") && has(1, "20") && has(2, "23") && has(3, "77"), "{alone:?}");
}

#[test]
fn a_description_bounds_the_memory_of_every_rank() {
    let model = toys(vec![Toy::new(1), Toy::new(5)]);
    assert_eq!((model.description().weights_bytes, model.description().device.as_str()), (5, "toy, 2 ranks"));
}

#[test]
fn a_rank_that_ends_ends_the_model_while_it_is_waited_for_and_before() {
    let toy = Toy::new(1);
    let (description, ending) = (toy.description.clone(), Box::new(drop::<UnixStream>));
    let (mut model, _threads) = model(vec![(description.clone(), obeying(toy)), (description, ending)]);
    assert_eq!(lost(|| model.open_slot()), "rank 1 (a thread) has ended");
    assert!(lost(|| model.open_slot()).contains("rank 1 (a thread)"));
}

#[test]
fn ranks_that_disagree_are_no_model() {
    let mut model = toys(vec![Toy::new(1), Toy { n_opened: 1, ..Toy::new(1) }]);
    let why = lost(|| model.open_slot());
    assert!(why.starts_with("rank 1 (a thread) does not agree with rank 0"), "{why}");
}

#[test]
fn after_a_failed_step_no_rank_knows_where_the_others_are() {
    for unlucky in [[Some(9), None], [None, Some(9)], [Some(9), Some(9)]] {
        let mut model = toys(unlucky.map(|unlucky| Toy { unlucky, ..Toy::new(1) }).into());
        let slot = model.open_slot();
        model.step(&[span(slot, &[1], None)]).unwrap();
        let why = lost(|| model.step(&[span(slot, &[9], None)]));
        assert!(why.contains("failed") && why.contains("out of luck"), "{why}");
    }
}

#[test]
fn a_rank_that_says_nothing_is_given_up_and_one_that_is_slow_is_not() {
    let silence = Duration::from_millis(500);
    let toy = Toy::new(1);
    let silent: Life = Box::new(|mut stream| {
        // Until the model is dropped.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let (description, other) = (toy.description.clone(), toy.description.clone());
    let (ranks, _threads) = model(vec![(description, obeying(toy)), (other, silent)]);
    let mut ranks = ranks.with_silence(silence);
    let why = lost(|| ranks.open_slot());
    assert!(why.starts_with("rank 1 (a thread) has not answered for"), "{why}");
    // The other one answers that it still runs, for longer than that, and then the question.
    let toy = Toy::new(1);
    let slow: Life = Box::new(move |mut stream| {
        assert!(matches!(frames::read(&mut stream).unwrap(), Command::OpenSlot));
        let started = Instant::now();
        while started.elapsed() < 2 * silence {
            assert!(matches!(frames::read(&mut stream).unwrap(), Command::Ping));
            frames::write(&mut stream, &frames::encode(&Report::Pong).unwrap()).unwrap();
        }
        let answer = Report::Reply(Reply::Slot(SlotId(0)));
        frames::write(&mut stream, &frames::encode(&answer).unwrap()).unwrap();
    });
    let (description, other) = (toy.description.clone(), toy.description.clone());
    let (ranks, _threads) = model(vec![(description, obeying(toy)), (other, slow)]);
    assert_eq!(ranks.with_silence(silence).open_slot(), SlotId(0));
}

#[test]
fn what_is_no_message_ends_the_model_with_what_was_wrong() {
    let toy = Toy::new(1);
    let talking: Life = Box::new(|mut stream| {
        stream.write_all(b"Last login: Monday\n").unwrap();
        // Until the model is dropped.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let (description, other) = (toy.description.clone(), toy.description.clone());
    let (mut model, _threads) = model(vec![(description, obeying(toy)), (other, talking)]);
    let why = lost(|| model.open_slot());
    assert!(why.starts_with("the connection to rank 1 (a thread) is broken"), "{why}");
}
