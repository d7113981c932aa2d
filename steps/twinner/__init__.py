"""What the steps share: one NER task, two frameworks, one tracker."""
