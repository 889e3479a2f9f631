//! What other managers ask of the one that leads.

use crate::consensus::ClusterProposer;
use crate::consensus::attempt::Attempt;
use crate::consensus::attempt::Logged;
use crate::propose::ProposeError;
use std::time::Duration;
use tokio::time::sleep;
use tonic::Status;
use weft_proto::wire;
use weft_proto::wire::propose_outcome::Kind;

/// Before a caller is told to try again, which it does at once: spares its next attempt while an
/// election is under way.
const PAUSE: Duration = Duration::from_millis(10);

impl ClusterProposer {
    /// Appends commands that another manager sent here because this one leads.
    pub(crate) async fn serve_proposals(
        &self,
        request: wire::ProposeManyRequest,
    ) -> wire::ProposeManyResponse {
        let outcomes = self.log().propose_all(request.commands).await;
        if outcomes
            .iter()
            .any(|outcome| !matches!(outcome, Attempt::Done(_)))
        {
            sleep(PAUSE).await;
        }
        wire::ProposeManyResponse {
            outcomes: outcomes.into_iter().map(outcome).collect(),
        }
    }

    /// As [`ClusterProposer::serve_proposals`], of managers that send one at a time.
    pub(crate) async fn serve_proposal(
        &self,
        request: wire::ProposeRequest,
    ) -> Result<wire::ProposeResponse, Status> {
        let commands = vec![request.command];
        let mut outcomes = self.log().propose_all(commands).await;
        match outcomes.pop() {
            Some(Attempt::Done(logged)) => Ok(done(logged)),
            Some(Attempt::Never(error @ ProposeError::TooLarge(_))) => {
                Err(Status::resource_exhausted(error.to_string()))
            }
            Some(Attempt::Never(error)) => Err(Status::unavailable(error.to_string())),
            Some(Attempt::Again(why)) => {
                sleep(PAUSE).await;
                Err(Status::unavailable(why))
            }
            None => Err(Status::internal("a command has no outcome")),
        }
    }

    /// The index that another manager's reads must wait for.
    pub(crate) async fn serve_read_index(&self) -> Result<wire::ReadIndexResponse, Status> {
        match self.log().read_index().await {
            Attempt::Done(index) => Ok(wire::ReadIndexResponse { index }),
            Attempt::Again(why) => Err(Status::unavailable(why)),
            Attempt::Never(error) => Err(Status::unavailable(error.to_string())),
        }
    }
}

fn done(logged: Logged) -> wire::ProposeResponse {
    wire::ProposeResponse {
        index: logged.index,
        result: logged.result,
    }
}

fn outcome(outcome: Attempt<Logged>) -> wire::ProposeOutcome {
    let kind = match outcome {
        Attempt::Done(logged) => Kind::Done(done(logged)),
        Attempt::Again(why) => Kind::Later(why),
        Attempt::Never(ProposeError::TooLarge(why)) => Kind::TooLarge(why),
        // This manager stops; others go on.
        Attempt::Never(error) => Kind::Later(error.to_string()),
    };
    wire::ProposeOutcome { kind: Some(kind) }
}
