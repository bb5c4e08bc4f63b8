import Planning

/// Of figures whose runs have models.
extension StageGraph.Chain {
  private var trained: Model {
    guard let model else { preconditionFailure("no model is trained") }
    return model
  }

  var train: Int { trained.train }
  var evaluate: Int { trained.evaluate }
  var domains: Int? { trained.domains }
  var downstream: Int? { trained.downstream }
  var scores: [Int] { trained.scores }
}
