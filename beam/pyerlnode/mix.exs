defmodule Pyerlnode.MixProject do
  use Mix.Project

  def project do
    [
      app: :pyerlnode,
      version: "0.1.0",
      elixir: "~> 1.14",
      description: "Python nodes in supervision trees: children, OS processes, exceptions",
      deps: []
    ]
  end

  def application, do: [extra_applications: [:logger]]
end
