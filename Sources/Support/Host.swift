import CSupport
import Foundation

/// The machine this process runs on.
package enum Host {
  /// The processor's own name, or its architecture where the system does not say.
  package static var cpuModel: String {
    for key in ["model name", "Hardware", "CPU implementer"] {
      if let value = field(key, of: "/proc/cpuinfo") { return value }
    }
    return architecture
  }

  package static var architecture: String { unameField { $0.machine } }

  /// The C library: "glibc 2.36".
  package static var libraryVersion: String {
    String(cString: ott_libc_version())
  }

  package static var name: String { unameField { $0.nodename } }

  /// "Linux 6.1.0".
  package static var kernel: String {
    unameField { $0.sysname } + " " + unameField { $0.release }
  }

  /// The file that a process runs, by the kernel; " (deleted)" behind it where another has taken its place.
  ///
  /// - Parameter process: nil for this one.
  /// - Returns: nil where this user may not know.
  package static func executable(of process: pid_t? = nil) -> String? {
    var room = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/\(process.map(String.init) ?? "self")/exe", &room, room.count)
    guard count > 0 else { return nil }
    return String(decoding: room[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Threads the scheduler lets this process use at once.
  package static var threads: Int { max(1, Int(ott_thread_count())) }

  /// Bytes of physical memory.
  package static var memoryBytes: Int {
    Int(sysconf(Int32(_SC_PHYS_PAGES))) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  /// Bytes of memory that new work can have without swapping; all of it where the system does not say.
  package static var availableMemoryBytes: Int {
    kilobytes("MemAvailable", of: "/proc/meminfo") ?? memoryBytes
  }

  /// Bytes of addresses that this process may have; nil without a limit.
  package static var addressSpaceBytes: Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0 else { return nil }
    return Int(exactly: limit.rlim_cur)
  }

  /// Resident size of this process now, in bytes; 0 where the system does not say.
  package static var residentBytes: Int { kilobytes("VmRSS", of: "/proc/self/status") ?? 0 }

  /// Largest resident size of this process so far, in bytes.
  package static var peakMemoryBytes: Int {
    Int(usage().ru_maxrss) * 1024
  }

  /// Largest resident size of this program since it started, in bytes: unlike `peakMemoryBytes` not
  /// that of the program that started it, where the system tells them apart.
  package static var peakResidentBytes: Int {
    kilobytes("VmHWM", of: "/proc/self/status") ?? peakMemoryBytes
  }

  /// User and system time of all threads of this process so far, in seconds.
  package static var cpuSeconds: Double {
    let usage = usage()
    let seconds = { (time: timeval) in Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// User and system time of a process of this user so far, in seconds; nil when it is gone.
  package static func cpuSeconds(of process: pid_t) -> Double? {
    var clock: clockid_t = 0
    return clock_getcpuclockid(process, &clock) == 0 ? seconds(of: clock) : nil
  }

  /// CPU time of the calling thread so far, in seconds.
  package static var threadSeconds: Double { seconds(of: CLOCK_THREAD_CPUTIME_ID) }

  /// Seconds on a clock that only goes forward.
  package static var monotonicSeconds: Double { seconds(of: CLOCK_MONOTONIC) }

  /// Instruction-set extensions that this build was compiled for.
  package static var buildFeatures: [String] { list(ott_build_features()) }

  /// Fails when this build needs instructions that the CPU lacks. A constructor in `CSupport` makes the
  /// same check before any Swift code runs; this one serves programs that want the error as a value.
  package static func requireBuildFeatures() throws {
    let missing = list(ott_missing_features())
    guard missing.isEmpty else {
      throw UserError(
        "this program was built for another CPU", expected: missing.joined(separator: ", "),
        found: cpuModel + " without them",
        remedy: "Build it on this machine: make clean-build && make build")
    }
  }

  // MARK: - Parts

  private static func seconds(of clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  private static func usage() -> rusage {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage
  }

  private static func list(_ text: UnsafePointer<CChar>?) -> [String] {
    text.map { String(cString: $0).split(separator: ",").map(String.init) } ?? []
  }

  private static func kilobytes(_ key: String, of path: String) -> Int? {
    let words = field(key, of: path)?.split(separator: " ") ?? []
    return words.first.flatMap { Int($0) }.map { $0 * 1024 }
  }

  private static func field(_ key: String, of path: String) -> String? {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2 { return parts[1].trimmingCharacters(in: .whitespaces) }
    }
    return nil
  }

  private static func unameField<Field>(_ field: (utsname) -> Field) -> String {
    var names = utsname()
    uname(&names)
    return withUnsafeBytes(of: field(names)) {
      String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }
  }
}
