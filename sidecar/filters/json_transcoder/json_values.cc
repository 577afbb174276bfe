#include "sidecar/filters/json_transcoder/json_values.h"

namespace pillion::filters {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool IsWord(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '+' ||
         c == '.';
}

}  // namespace

// The first character of a value.
bool JsonValues::Begin(char c) {
  value_.assign(1, c);
  expected_ = false;
  if (c == '{' || c == '[') {
    closers_.assign(1, c == '{' ? '}' : ']');
    state_ = State::kBracket;
  } else if (c == '"') {
    closers_.clear();
    state_ = State::kString;
  } else {
    state_ = State::kWord;
    return IsWord(c);
  }
  return true;
}

bool JsonValues::InBracket(char c) {
  if (c == '"') {
    state_ = State::kString;
  } else if (c == '{' || c == '[') {
    if (closers_.size() == kMaxDepth) return false;
    closers_ += c == '{' ? '}' : ']';
  } else if (c == '}' || c == ']') {
    if (closers_.back() != c) return false;
    closers_.pop_back();
  }
  // protobuf's parser would take it for a quote, and a bracket behind it for text.
  return c != '\'';
}

JsonValues::Step JsonValues::EndValue() {
  state_ = form_ == Form::kOne ? State::kOver : State::kBehind;
  return Step::kValue;
}

JsonValues::Step JsonValues::Next(std::string_view& text) {
  while (!text.empty()) {
    const char c = text.front();
    // A word ends at what is no part of it, which is looked at again.
    if (state_ == State::kWord && !IsWord(c)) {
      if (!IsSpace(c) && !(array_ && (c == ',' || c == ']'))) return Step::kBroken;
      return EndValue();
    }
    text.remove_prefix(1);
    switch (state_) {
      case State::kBegin:
        if (IsSpace(c)) break;
        if (c == '[' && form_ == Form::kStream) {
          array_ = true;
          state_ = State::kBetween;
          break;
        }
        if (!Begin(c)) return Step::kBroken;
        break;
      case State::kBetween:
        if (IsSpace(c)) break;
        if (array_ && c == ']' && !expected_) {
          state_ = State::kOver;
          break;
        }
        if (!Begin(c)) return Step::kBroken;
        break;
      case State::kBracket:
        value_ += c;
        if (!InBracket(c)) return Step::kBroken;
        if (closers_.empty()) return EndValue();
        break;
      case State::kString:
        value_ += c;
        if (c == '\\') state_ = State::kEscape;
        if (c != '"') break;
        if (closers_.empty()) return EndValue();
        state_ = State::kBracket;
        break;
      case State::kEscape:
        value_ += c;
        state_ = State::kString;
        break;
      case State::kWord:
        value_ += c;
        break;
      case State::kBehind:
        if (IsSpace(c)) break;
        if (!array_) {
          if (!Begin(c)) return Step::kBroken;
        } else if (c == ',') {
          expected_ = true;
          state_ = State::kBetween;
        } else if (c == ']') {
          state_ = State::kOver;
        } else {
          return Step::kBroken;
        }
        break;
      case State::kOver:
        if (!IsSpace(c)) return Step::kBroken;
        break;
    }
  }
  return Step::kMore;
}

JsonValues::Step JsonValues::Finish() {
  switch (state_) {
    case State::kWord:
      return array_ ? Step::kBroken : EndValue();
    case State::kBegin:
      return form_ == Form::kOne ? Step::kBroken : Step::kMore;
    case State::kBehind:
      return array_ ? Step::kBroken : Step::kMore;
    case State::kOver:
      return Step::kMore;
    case State::kBetween:
    case State::kBracket:
    case State::kString:
    case State::kEscape:
      break;
  }
  return Step::kBroken;
}

}  // namespace pillion::filters
