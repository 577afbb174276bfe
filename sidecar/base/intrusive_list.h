// A doubly linked list whose links live in its members: linking never allocates, unlinking needs no search.
// A node unlinks itself when it dies. One thread.
#ifndef PILLION_SIDECAR_BASE_INTRUSIVE_LIST_H_
#define PILLION_SIDECAR_BASE_INTRUSIVE_LIST_H_

namespace pillion {

// Inherit once per list that an object may be on; `Tag` tells the lists apart.
template <typename Tag>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { Unlink(); }
  bool linked() const { return next_ != nullptr; }
  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;
  ListNode* next_ = nullptr;
  ListNode* prev_ = nullptr;
};

// T derives from ListNode<Tag>. Does not own its members.
template <typename T, typename Tag>
class IntrusiveList {
 public:
  using Node = ListNode<Tag>;
  IntrusiveList() { Reset(); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    while (!empty()) root_.next_->Unlink();
    root_.next_ = root_.prev_ = nullptr;
  }
  bool empty() const { return root_.next_ == &root_; }
  T* front() const { return empty() ? nullptr : static_cast<T*>(root_.next_); }
  T* back() const { return empty() ? nullptr : static_cast<T*>(root_.prev_); }
  void PushBack(T* item) { InsertBefore(&root_, item); }
  void PushFront(T* item) { InsertBefore(root_.next_, item); }
  T* PopFront() {
    T* item = front();
    if (item != nullptr) static_cast<Node*>(item)->Unlink();
    return item;
  }
  // The one after `item`, or null. Safe iteration: take the next before unlinking.
  T* Next(T* item) const {
    Node* next = static_cast<Node*>(item)->next_;
    return next == &root_ ? nullptr : static_cast<T*>(next);
  }
  // Takes all members of `other`, in order, to the back.
  void Splice(IntrusiveList& other) {
    while (T* item = other.PopFront()) PushBack(item);
  }

 private:
  void Reset() { root_.next_ = root_.prev_ = &root_; }
  static void InsertBefore(Node* at, T* item) {
    Node* node = static_cast<Node*>(item);
    node->Unlink();
    node->next_ = at;
    node->prev_ = at->prev_;
    at->prev_->next_ = node;
    at->prev_ = node;
  }
  mutable Node root_;
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_INTRUSIVE_LIST_H_
