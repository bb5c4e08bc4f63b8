/// The constants of AdamW and clipping, as torch.optim.AdamW and clip_grad_norm_ name them.
package struct OptimizerConstants: Sendable, Equatable {
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// Largest global gradient norm; infinity for no clipping.
  package var gradientClip: Double

  package init(
    beta1: Double = 0.9, beta2: Double = 0.98, epsilon: Double = 1e-8, weightDecay: Double = 0.1,
    gradientClip: Double = 1
  ) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.gradientClip = gradientClip
  }
}

/// How tables are updated, where it differs from the dense parameters.
package struct TableOptimizer: Sendable, Equatable {
  /// Multiplies the learning rate.
  package var learningRateMultiplier: Double
  package var weightDecay: Double

  package init(learningRateMultiplier: Double = 1, weightDecay: Double = 0) {
    self.learningRateMultiplier = learningRateMultiplier
    self.weightDecay = weightDecay
  }
}

/// One loss of a step.
package struct LossSum: Sendable, Equatable {
  /// Σ over the rows that count, in nats, unweighted.
  package var sum: Double
  /// Rows of the batch that count.
  package var rows: Int

  package init(sum: Double, rows: Int) { (self.sum, self.rows) = (sum, rows) }

  /// Nats per row that counts; 0 where there is none.
  package var mean: Double { rows == 0 ? 0 : sum / Double(rows) }
}

/// What a training step tells. Of the losses it has the first, the next-token loss, alone; see
/// `TrainingEngine.lossSum` for the others.
package struct StepStatistics: Sendable, Equatable {
  package var nextToken: LossSum
  /// Global norm of the gradient of the weighted sum of the mean losses, before clipping.
  package var gradientNorm: Double

  package init(nextToken: LossSum, gradientNorm: Double) {
    (self.nextToken, self.gradientNorm) = (nextToken, gradientNorm)
  }

  /// Σ over predicted positions of −log p in nats.
  package var lossSum: Double { nextToken.sum }
  /// Predicted positions of the batch.
  package var rows: Int { nextToken.rows }
  /// Mean loss per predicted position in nats; 0 for an empty batch.
  package var meanLoss: Double { nextToken.mean }
}

/// A loss or gradient that is not a number, or infinite. The weights were not touched by the step.
package struct NonFiniteError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The step that failed, counted from 1.
  package let step: Int
  /// The first bad array, in the order of the model: `weight …`, `gradient of …` or `loss …`.
  package let tensor: String

  package init(step: Int, tensor: String) { (self.step, self.tensor) = (step, tensor) }

  package var description: String { "step \(step): \(tensor) is not finite" }
}
