import Support

extension Sentences {
  /// Sentences of ids with the repetitions of text: frequencies by Zipf's law, and after each id a
  /// dozen favourites of its own, so that bigrams and trigrams come again as well as new ones.
  ///
  /// An id is with even chances a Zipf draw over V (rank r with weight 1/(r + 2.7)), or one of the 12
  /// followers of the id before, chosen by Zipf's law; a follower is itself a fixed Zipf draw.
  package static func text(count: Int, length: Int, vocabulary: Int, seed: UInt64) -> Sentences {
    var cumulative = [0.0]
    for rank in 0..<vocabulary { cumulative.append(cumulative[rank] + 1 / (Double(rank) + 2.7)) }
    let total = cumulative[vocabulary]
    func zipf(_ uniform: Double) -> Int {
      var (low, high) = (0, vocabulary)
      while high - low > 1 {
        let middle = (low + high) / 2
        if cumulative[middle] <= uniform * total { low = middle } else { high = middle }
      }
      return low
    }
    let favourites = RandomStream(seed: seed, name: "favourites")
    let followers = (0..<vocabulary).map { id in
      var stream = favourites.at(index: UInt64(id))
      return (0..<12).map { _ in zipf(stream.uniform()) }
    }
    let stream = RandomStream(seed: seed, name: "text")
    return Sentences(
      (0..<count).map { index in
        var random = stream.at(index: UInt64(index))
        var id = 0
        return (0...length).map { _ in
          if random.below(2) == 0 {
            id = zipf(random.uniform())
          } else {
            // 1/(rank + 1) over 12 ranks.
            var rest = random.uniform() * 3.1032
            var rank = 0
            while rank < 11, rest > 1 / Double(rank + 1) {
              rest -= 1 / Double(rank + 1)
              rank += 1
            }
            id = followers[id][rank]
          }
          return Int32(id)
        }
      })
  }
}
