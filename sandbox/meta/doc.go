// Package meta stands in for Meta's Graph API, as far as keeping customer-list
// custom audiences and editing campaigns goes: accounts, audiences, adding and
// removing people, upload sessions, campaigns and what is in them, batches, reports,
// errors, usage headers and rate limits.
//
// It owns the network's side of the truth: who is in which audience. It shares
// no code with the product it judges, and nothing in it trusts a caller. It is
// built for the failure of a product that believes it delivered, or removed the
// right person, and did not: the sandbox keeps exact books, and anybody may
// read them back.
//
// # How people are matched
//
// An audience holds members. A member has a set of values, each under a key.
// Only the identifying keys find a member, each of them alone: EXTERN_ID,
// EMAIL, PHONE, MADID and UID. All others (a name, a city, a country) are kept
// beside them and never find anybody.
//
//   - Adding a row with an EXTERN_ID: that EXTERN_ID names one member. It is
//     made if it is new, and takes all values of the row to those it has. An
//     add never takes a value away: whoever wants an old e-mail address gone
//     must remove it.
//   - Adding a row without EXTERN_ID: it is the same member as every other
//     member without EXTERN_ID that has one of its values; those become one.
//   - So rows with different EXTERN_IDs are different members even when they
//     share an e-mail address, and the address reaches both.
//   - Removing a row removes every member that has any of the row's
//     identifying values. A careless removal that carries a shared e-mail
//     address really removes the other person as well; the books count such
//     members as collateral.
//   - A row whose identifying cells are all empty reaches nobody. It is counted
//     as received, and noted as a sin when it was to be added, because nobody
//     could ever remove it.
//
// Adds are the same in any order, and doing any of them twice is doing it
// once. Add and remove of the same value depend on their order.
//
// # Replacing all members
//
// A session of usersreplace collects batches without anybody seeing them. Its
// last batch has the members replaced by its rows, whatever numbers are missing
// in between, and ends it: what comes later for it is refused, the last batch
// again as well. While it runs, adding, removing and a second replacement are
// refused; one without a last batch is forgotten when its window is over, and the
// members stay as they were. Erasing people from all audiences of the account
// goes on meanwhile.
//
// # How campaigns are kept
//
// An account holds campaigns, ad sets in them, ads in these, and creatives that ads
// refer to. They are kept in memory: a state file does not bring them back. Every
// operation that takes effect is noted with the call that it came with, so that one
// that took effect twice is seen.
//
//   - Parameters that are not known, of another type, missing at a creation, or fixed
//     since then are refused, and what is deleted takes no edit any more.
//   - A batch is carried out in an order that chance decides, because the network
//     promises none. Each of its operations can meet a fault of its own: the path of
//     a fault script then begins with /batch. One that gets no answer is null.
//   - Two ad sets of one campaign in a batch are refused; a node and one that it
//     lies in, or two operations on one node, are noted as a sin.
//   - What was spent is made up from the seed, until somebody says what it was.
//
// # What is stricter than the network
//
// Values that the network would probably repair, such as an upper-case hash,
// count as invalid here, so that the product cannot lean on the repair. What no
// public page promises is an option.
package meta
