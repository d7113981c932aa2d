-- Run once, on an empty volume. MySQL's image has made the user.
CREATE DATABASE mlflow;
GRANT ALL ON mlflow.* TO 'mlflow'@'%';
