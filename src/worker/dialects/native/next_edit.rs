//! `next_edit`: predicts what will be changed next in a document.

use runabout_api::methods::NextEdit;
use runabout_api::{EditSource, NextEditParams, NextEditResult, TextEdit};
use runabout_assist::{NextEditForm, NextEditFormat, Outcome, Prediction};

use super::method::{Answer, Call, MethodResult};
use super::stream::{self, Streaming};
use super::{errors, from_wire, to_wire};
use crate::dialects::rounding::rounded;

impl Answer for NextEdit {
    async fn answer(mut call: Call) -> MethodResult<NextEditResult> {
        let request = from_wire::next_edit(call.read::<NextEditParams>()?)?;
        let (run, reader) = call.client.assistant.next_edit(request).map_err(|it| errors::of_request(&it))?;
        let outcome = stream::outcome(run, &call.request, Streaming::Off).await?;
        Ok(result(reader.read(&outcome), &outcome))
    }
}

fn result(prediction: Prediction, outcome: &Outcome) -> NextEditResult {
    NextEditResult {
        jump_to: prediction.edits.first().map(|it| it.range.start as u64),
        edits: prediction
            .edits
            .into_iter()
            .map(|it| TextEdit { start: it.range.start as u64, end: it.range.end as u64, text: it.text })
            .collect(),
        source: prediction.form.map(source),
        confidence: prediction.confidence.map(rounded),
        finish_reason: to_wire::finish_reason(prediction.reason),
        usage: to_wire::usage(outcome),
        timing: to_wire::timing(outcome),
    }
}

fn source(form: NextEditForm) -> EditSource {
    match form {
        NextEditForm::Rewrite(NextEditFormat::Sweep) => EditSource::Sweep,
        NextEditForm::Rewrite(NextEditFormat::SweepV2) => EditSource::SweepV2,
        NextEditForm::Rewrite(NextEditFormat::Zeta2) => EditSource::Zeta2,
        NextEditForm::Rewrite(NextEditFormat::Zeta21) => EditSource::Zeta21,
        NextEditForm::FillInTheMiddle => EditSource::FillInTheMiddle,
    }
}
